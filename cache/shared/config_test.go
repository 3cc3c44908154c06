package shared

import (
	"strings"
	"testing"
	"time"
)

func TestLinkConfig(t *testing.T) {
	const url = "redis://:secret@127.0.0.1:1"
	for _, c := range []struct {
		cfg  LinkConfig
		want string // part of the error; empty: none
	}{
		{LinkConfig{}, "LinkConfig.URL is missing, such as redis://"},
		{LinkConfig{URL: "http://secret"}, "does not begin with redis://"},
		{LinkConfig{URL: "redis://h/secret"}, "cannot be read: it is like"},
		{LinkConfig{URL: url, Namespace: "a:b"}, `Namespace: "a:b" is not made of letters`},
		{LinkConfig{URL: url, Timeout: time.Minute}, "Timeout: 1m0s is not between 1ms and 10s"},
		{LinkConfig{URL: url, Settle: -1}, "Settle: -1ns is not between"},
		{LinkConfig{URL: url, Heartbeat: time.Millisecond}, "Heartbeat: 1ms is not between 10ms and 1m0s"},
		{LinkConfig{URL: url, Pending: -1}, "Pending: -1 is negative"},
		{LinkConfig{URL: url}, ""},
		{LinkConfig{URL: "unix:///nowhere/redis.sock", Namespace: "a-1", Pending: 1}, ""},
		{LinkConfig{URL: "rediss://u:p@127.0.0.1:1/2"}, ""},
	} {
		err := c.cfg.Validate()
		switch {
		case c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%+v: %v, want %q", c.cfg, err, c.want)
		case err == nil:
			if l, err := Open(c.cfg); err != nil {
				t.Error(err)
			} else {
				l.Close()
			}
		default:
			if _, same := Open(c.cfg); same == nil || same.Error() != err.Error() {
				t.Errorf("Validate says %v, Open %v", err, same)
			}
			if strings.Contains(err.Error(), "secret") {
				t.Errorf("a password is shown: %v", err)
			}
		}
	}
}

func TestConfig(t *testing.T) {
	for _, c := range []struct {
		change func(*Config[int, string])
		want   string
	}{
		{func(c *Config[int, string]) { c.Resource = "" }, `Resource: "" is not made of letters`},
		{func(c *Config[int, string]) { c.Resource = "a:b" }, `Resource: "a:b"`},
		{func(c *Config[int, string]) { c.Key = nil }, "all needed"},
		{func(c *Config[int, string]) { c.Parse = nil }, "all needed"},
		{func(c *Config[int, string]) { c.Encode = nil }, "all needed"},
		{func(c *Config[int, string]) { c.Decode = nil }, "all needed"},
		{func(c *Config[int, string]) { c.MaxValue = -1 }, "MaxValue: -1 is negative"},
		{func(c *Config[int, string]) { c.TTL = 25 * time.Hour }, "TTL: 25h0m0s is not between 1ms and 24h0m0s"},
		{func(c *Config[int, string]) { c.TTL, c.NegativeTTL = time.Second, time.Minute }, "NegativeTTL: 1m0s is not between 0s and 1s"},
		{func(c *Config[int, string]) { c.Lag = -1 }, "Lag: -1ns is not between"},
		{func(c *Config[int, string]) { c.WriteTime = time.Hour }, "WriteTime: 1h0m0s is not between"},
		{func(c *Config[int, string]) { c.TTL, c.NegativeTTL = time.Second, -1 }, ""},
	} {
		cfg := Config[int, string]{
			Resource: "a", Key: func(int) string { return "" }, Parse: func(string) (int, bool) { return 0, false },
			Encode: func(string) ([]byte, error) { return nil, nil }, Decode: func([]byte) (string, error) { return "", nil },
		}
		c.change(&cfg)
		_, err := New(nil, cfg)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%v, want %q", err, c.want)
		}
	}
}
