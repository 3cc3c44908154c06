package config

import (
	"fmt"
	"net/url"
	"regexp"
	"strings"
)

// Secret is a text that is never shown: whatever prints it, prints a placeholder.
type Secret string

const hidden = "(hidden)"

// String is a placeholder.
func (Secret) String() string { return hidden }

// GoString is a placeholder.
func (Secret) GoString() string { return hidden }

// MarshalText gives a placeholder.
func (Secret) MarshalText() ([]byte, error) { return []byte(hidden), nil }

// Reveal is the text.
func (s Secret) Reveal() string { return string(s) }

// withoutSecrets keeps host and database of an address.
func (s Secret) withoutSecrets() string {
	u, err := url.Parse(string(s))
	if err != nil {
		return hidden
	}
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
}

// reference is what stands for an environment variable, right or wrong, or for
// the two characters that begin one.
var reference = regexp.MustCompile(`\$\$\{|\$\{[^}]*\}?`)

var variableName = regexp.MustCompile(`^\$\{[A-Za-z_][A-Za-z0-9_]*\}$`)

// expand puts in environment variables.
func expand(text string, env func(string) (string, bool)) (string, error) {
	if !strings.Contains(text, "${") {
		return text, nil
	}
	var problem error
	full := reference.ReplaceAllStringFunc(text, func(ref string) string {
		if ref == "$${" {
			return "${"
		}
		if !variableName.MatchString(ref) {
			problem = fmt.Errorf("${ begins a variable, but no name and } follow: want ${NAME}, or $${ for the characters themselves")
			return ""
		}
		name := ref[2 : len(ref)-1]
		held, ok := env(name)
		if !ok {
			problem = fmt.Errorf("the environment variable %s is not set", name)
		}
		return held
	})
	return full, problem
}
