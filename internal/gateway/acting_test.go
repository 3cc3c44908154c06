package gateway

import (
	"crypto/sha256"
	"testing"
)

// As soon as a token may act, nobody acts without one that may; reading needs none.
func TestActing(t *testing.T) {
	cfg := guarded(&memory{})
	cfg.Tokens = append(cfg.Tokens, Token{Name: "night shift", SHA256: sha256.Sum256([]byte("night-secret")), Allow: []string{AdminGrant}})
	h := newGateway(t, cfg).Admin()
	const pin = `{"mode":"latency","for":"1m"}`
	for _, c := range []struct {
		name, method, target, body, token string
		status                            int
	}{
		{"reading", "GET", "/api/v1/mode", "", "", 200},
		{"nobody", "PUT", "/api/v1/mode", pin, "", 401},
		{"nobody takes back", "DELETE", "/api/v1/mode", "", "", 401},
		{"an unknown one", "PUT", "/api/v1/mode", pin, "x", 401},
		{"one that may read", "PUT", "/api/v1/mode", pin, "all-secret", 403},
		{"nobody settles", "POST", "/api/v1/deadletters/1", "", "", 401},
		{"nobody discards", "DELETE", "/api/v1/deadletters/1", "", "", 401},
		{"one that may", "PUT", "/api/v1/mode", pin, "night-secret", 200},
		{"takes it back", "DELETE", "/api/v1/mode", "", "night-secret", 200},
	} {
		headers := []string{"Content-Type", "application/json"}
		if c.token != "" {
			headers = append(headers, "Authorization", "Bearer "+c.token)
		}
		if a := ask(t, h, c.method, c.target, c.body, headers...); a.StatusCode != c.status {
			t.Errorf("%s: %d %s, want %d", c.name, a.StatusCode, a.text, c.status)
		}
	}
	// It may not read rows.
	wantProblem(t, ask(t, newGateway(t, cfg).Data(), "GET", "/v1/users/1", "", "Authorization", "Bearer night-secret"), 403, "forbidden")
	// Without such a token everybody who reaches the listener may act.
	if a := ask(t, newGateway(t, guarded(&memory{})).Admin(), "PUT", "/api/v1/mode", pin, "Content-Type", "application/json"); a.StatusCode != 200 {
		t.Error(a.StatusCode, a.text)
	}
}
