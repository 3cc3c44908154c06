package gateway

import (
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"slices"
	"strings"
)

// Token is a client that may ask. The gateway knows the hash of its secret only.
type Token struct {
	Name   string            // for logs
	SHA256 [sha256.Size]byte // of what follows Bearer in its Authorization
	Scope  string            // of its requests, such as its tenant; empty: none
	Allow  []string          // "users:read", "users:write", "*:read" for every resource, AdminGrant
}

// principal is a token as it is looked at in each request.
type principal struct {
	name, scope string
	grants      map[string]bool // by resource and operation; "*" is every resource
}

func (p *principal) may(operation, resource string) bool {
	return p.grants["*"+operation] || p.grants[resource+operation]
}

// guard knows all tokens; the zero guard lets everybody in.
type guard struct {
	hashes     [][sha256.Size]byte
	principals []principal
	acting     bool // a token has AdminGrant
}

// AdminGrant allows what changes something on the admin listener: to set the mode, to
// settle dead letters. As soon as one token has it, nobody may do so without.
const AdminGrant = "admin"

// What a grant allows to do with its resource.
const (
	readGrant  = ":read"
	writeGrant = ":write"
)

// newGuard checks tokens against the resources that there are.
func newGuard(cfg Config) (guard, error) {
	var g guard
	for _, t := range cfg.Tokens {
		p := principal{name: t.Name, scope: t.Scope, grants: map[string]bool{}}
		if slices.Contains(g.hashes, t.SHA256) {
			return g, &FieldError{"Tokens", fmt.Sprintf("%s is there twice: one token, one client", t.Name)}
		}
		for _, grant := range t.Allow {
			if grant == AdminGrant {
				p.grants[grant], g.acting = true, true
				continue
			}
			name, read := strings.CutSuffix(grant, readGrant)
			name, write := strings.CutSuffix(name, writeGrant)
			if read == write || name != "*" && !cfg.serves(name) {
				return g, &FieldError{"Tokens", fmt.Sprintf(`%s: Allow: %q: want RESOURCE:read or RESOURCE:write of a resource that there is, *:read, *:write or admin`, t.Name, grant)}
			}
			p.grants[grant] = true
		}
		g.hashes, g.principals = append(g.hashes, t.SHA256), append(g.principals, p)
	}
	return g, nil
}

func (c Config) serves(name string) bool {
	for _, r := range c.Resources {
		if r.Name == name {
			return true
		}
	}
	return false
}

// whose finds the token's owner, nil if it is nobody's. How long that takes says
// nothing of any token: hashes are compared, each in constant time, and all of
// them.
func (g *guard) whose(token string) *principal {
	sum := sha256.Sum256([]byte(token))
	found := -1
	for i := range g.hashes {
		found = subtle.ConstantTimeSelect(subtle.ConstantTimeCompare(sum[:], g.hashes[i][:]), i, found)
	}
	if found < 0 {
		return nil
	}
	return &g.principals[found]
}

// bearer takes the token out of an Authorization header.
func bearer(values []string) (string, bool) {
	if len(values) != 1 {
		return "", false
	}
	scheme, token, _ := strings.Cut(values[0], " ")
	token = strings.TrimLeft(token, " ")
	return token, token != "" && strings.EqualFold(scheme, "Bearer")
}

// Challenges to who comes without a token, with a wrong one, or with one that may
// not do this (RFC 6750, section 3).
var (
	challenge     = []string{`Bearer realm="fulcrum"`}
	challengeGone = []string{`Bearer realm="fulcrum", error="invalid_token"`}
	challengeMore = []string{`Bearer realm="fulcrum", error="insufficient_scope"`}
)

// authenticate finds out who asks, and refuses whoever has no token that we know.
func (x *exchange) authenticate() bool {
	if len(x.live.guard.hashes) == 0 {
		return true
	}
	given := x.r.Header["Authorization"]
	token, ok := bearer(given)
	switch {
	case len(given) == 0:
		x.refuse(challenge, unauthorized.because("the Authorization header is missing: send Bearer and a token"))
		return false
	case !ok:
		x.refuse(challengeGone, unauthorized.because("the Authorization header is not Bearer and a token, once"))
		return false
	}
	if x.who = x.live.guard.whose(token); x.who == nil {
		x.refuse(challengeGone, unauthorized.because("the token is not known here"))
		return false
	}
	return true
}

// authorize refuses those whose token does not allow the operation.
func (x *exchange) authorize(operation, resource string) bool {
	if x.who == nil || x.who.may(operation, resource) {
		return true
	}
	x.refuse(challengeMore, forbidden.because("the token of %s does not allow %s%s", x.who.name, resource, operation))
	return false
}

// mayAct refuses who may not change anything on the admin listener.
func (x *exchange) mayAct() bool {
	if !x.live.guard.acting {
		return true
	}
	if !x.authenticate() {
		return false
	}
	if x.who.grants[AdminGrant] {
		return true
	}
	x.refuse(challengeMore, forbidden.because("the token of %s does not allow %s", x.who.name, AdminGrant))
	return false
}

func (x *exchange) refuse(challenge []string, p problem) {
	x.w.Header()["Www-Authenticate"] = challenge
	x.fail(p)
}
