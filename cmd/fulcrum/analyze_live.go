package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"github.com/fulcrum-data/fulcrum/internal/usage/logs"
)

const usageStream = "/api/v1/usage/stream"

// liveURL is where a gateway's requests can be heard: its admin listener, or the stream
// itself.
func liveURL(text string) (string, error) {
	if text == "" {
		return "", nil
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return "", fmt.Errorf("%q: want the address of an admin listener, such as http://localhost:8081", text)
	}
	if u.Path == "" || u.Path == "/" {
		u.Path = usageStream
	}
	return u.String(), nil
}

// listen opens the stream of a gateway's requests, for a while.
func (c *analyzeCommand) listen(ctx context.Context) ([]*input, error) {
	limited, cancel := context.WithTimeout(ctx, c.For)
	r, err := http.NewRequestWithContext(limited, http.MethodGet, c.live, nil)
	if err != nil {
		cancel()
		return nil, err
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		cancel()
		return nil, err
	}
	if res.StatusCode != http.StatusOK {
		defer cancel()
		defer res.Body.Close()
		text, _ := io.ReadAll(io.LimitReader(res.Body, 1<<10))
		return nil, fmt.Errorf("%s: %s: %s", c.live, res.Status, text)
	}
	in := &input{name: c.Live, file: &counted{ReadCloser: &heard{res.Body, limited, cancel}}}
	if in.source, err = logs.Open(in.file, logs.Options{Format: "json"}); err != nil {
		in.close()
		return nil, fmt.Errorf("%s: within %s: %w", c.Live, c.For, err)
	}
	return []*input{in}, nil
}

// heard is a stream that ends when its time is over, as a file does.
type heard struct {
	io.ReadCloser
	ctx    context.Context
	cancel context.CancelFunc
}

func (h *heard) Read(p []byte) (int, error) {
	n, err := h.ReadCloser.Read(p)
	if err != nil && (h.ctx.Err() != nil || errors.Is(err, io.ErrUnexpectedEOF)) {
		err = io.EOF
	}
	return n, err
}

func (h *heard) Close() error {
	h.cancel()
	return h.ReadCloser.Close()
}
