package main

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"time"
)

// writeShop makes up the log of a shop: 200,000 clients, half a million pages after
// Zipf's law, 200 requests a second.
func writeShop(name string, lines int) error {
	file, err := os.Create(name)
	if err != nil {
		return err
	}
	defer file.Close()
	w := bufio.NewWriterSize(file, 1<<20)
	random := rand.New(rand.NewPCG(1, 2))
	pages := rand.NewZipf(random, 1.1, 5, 500_000)
	agents := []string{
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/122.0.0.0 Safari/537.36",
		"Mozilla/5.0 (X11; Linux x86_64; rv:123.0) Gecko/20100101 Firefox/123.0",
		"Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
	}
	at := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	for range lines {
		at = at.Add(time.Duration(random.ExpFloat64() * float64(time.Second) / 200))
		client, page := random.IntN(200_000), pages.Uint64()
		path := [...]string{"/products/%d", "/users/%d/orders?page=1", "/static/img/%d.png", "/search?q=term%d&sort=asc"}[page%4]
		_, err = fmt.Fprintf(w, "10.%d.%d.%d - - [%s] \"GET %s HTTP/1.1\" 200 %d \"https://shop.example.com/\" \"%s\"\n", client>>16, client>>8&255, client&255,
			at.Format("02/Jan/2006:15:04:05 -0700"), fmt.Sprintf(path, page), random.IntN(50_000), agents[random.IntN(len(agents))])
		if err != nil {
			return err
		}
	}
	return w.Flush()
}
