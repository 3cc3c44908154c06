package main

import (
	"bytes"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"time"

	"github.com/fulcrum-data/fulcrum/internal/load"
)

const (
	starvedSteps = 5
	hogs         = 3
)

// starved pins the generator to a processor that it shares with others who never
// stop, and the server to another one.
func starved(out io.Writer) (bool, error) {
	fmt.Fprintf(out, "\n## A starved generator\n\nThe generator shares one processor with %d programs that never stop; the server has another. 5,000 requests/s. Wanted: no figure without a mark.\n\n", hogs)
	url, stop, err := startServer("plain", "1")
	if err != nil {
		return false, err
	}
	defer stop()
	for range hogs {
		hog, err := self("0", "-spin")
		if err != nil {
			return false, err
		}
		if err := hog.Start(); err != nil {
			return false, err
		}
		defer end(hog)
	}
	cmd, err := self("0", "-offer", url+"/")
	if err != nil {
		return false, err
	}
	text, err := cmd.Output()
	if err != nil {
		return false, err
	}
	_, err = out.Write(text)
	return !bytes.Contains(text, []byte("not marked")) && strings.Count(string(text), "\n") == starvedSteps, err
}

func end(cmd *exec.Cmd) {
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
}

// offer is the generator.
func offer(url string) error {
	for i := range starvedSteps {
		s, err := step(url, load.Config{Rate: 5000, Duration: 2 * time.Second, Seed: uint64(i)})
		if err != nil {
			return err
		}
		fmt.Printf("- %s\n", marked(s))
	}
	return nil
}

func spin() {
	for n := 0; ; n++ {
	}
}
