package store

import (
	"errors"
	"strings"
	"testing"
)

// Every wrong key is refused with a text that says what would be right.
func TestKeyRefusals(t *testing.T) {
	const uuid = "a UUID such as 0b14dc08-9c4e-4f0f-8d3a-3a0f0a1c2b3d"
	id, name := KeyColumn{Name: "id"}, KeyColumn{Name: "name", Type: KeyText}
	small := KeyColumn{Name: "n", Bits: 16}
	u, raw := KeyColumn{Name: "u", Type: KeyUUID}, KeyColumn{Name: "b", Type: KeyBytes}
	for _, c := range []struct {
		columns []KeyColumn
		parts   []string
		want    string
	}{
		{[]KeyColumn{id}, nil, `key "": want 1 part: id`},
		{[]KeyColumn{id}, []string{"1", "2"}, `key "1/2": want 1 part: id`},
		{[]KeyColumn{name, id}, []string{"1"}, `key "1": want 2 parts: name/id`},
		{[]KeyColumn{id}, []string{""}, `key "" for column id: want an integer, in digits alone`},
		{[]KeyColumn{id}, []string{"042"}, `key "042" for column id: want an integer, in digits alone`},
		{[]KeyColumn{id}, []string{"+1"}, `key "+1" for column id: want an integer, in digits alone`},
		{[]KeyColumn{id}, []string{" 1"}, `key " 1" for column id: want an integer, in digits alone`},
		{[]KeyColumn{id}, []string{"1 "}, `key "1 " for column id: want an integer, in digits alone`},
		{[]KeyColumn{id}, []string{"-0"}, `key "-0" for column id: want an integer, in digits alone`},
		{[]KeyColumn{id}, []string{"-"}, `key "-" for column id: want an integer, in digits alone`},
		{[]KeyColumn{id}, []string{"1_000"}, `key "1_000" for column id: want an integer, in digits alone`},
		{[]KeyColumn{id}, []string{"1.0"}, `key "1.0" for column id: want an integer, in digits alone`},
		{[]KeyColumn{id}, []string{"0x1f"}, `key "0x1f" for column id: want an integer, in digits alone`},
		{[]KeyColumn{id}, []string{"٤٢"}, `key "٤٢" for column id: want an integer, in digits alone`},
		{[]KeyColumn{id}, []string{"9223372036854775808"}, `key "9223372036854775808" for column id: want an integer of 64 bits`},
		{[]KeyColumn{small}, []string{"32768"}, `key "32768" for column n: want an integer of 16 bits`},
		{[]KeyColumn{name}, []string{"a\xff"}, `key "a\xff" for column name: want text in UTF-8`},
		{[]KeyColumn{u}, []string{"x"}, `key "x" for column u: want ` + uuid},
		{[]KeyColumn{u}, []string{strings.Repeat("0", 36)}, `key "` + strings.Repeat("0", 36) + `" for column u: want ` + uuid},
		{[]KeyColumn{u}, []string{"0b14dc08-9c4e-4f0f-8d3a-3a0f0a1c2bg3"}, `key "0b14dc08-9c4e-4f0f-8d3a-3a0f0a1c2bg3" for column u: want ` + uuid},
		{[]KeyColumn{raw}, []string{"AA=="}, `key "AA==" for column b: want bytes in base64url without padding`},
		{[]KeyColumn{raw}, []string{"A"}, `key "A" for column b: want bytes in base64url without padding`},
		{[]KeyColumn{raw}, []string{"AB"}, `key "AB" for column b: want bytes in base64url without padding`},
		{[]KeyColumn{raw}, []string{"A\nA"}, `key "A\nA" for column b: want bytes in base64url without padding`},
		{[]KeyColumn{{Name: "x", Type: 9}}, []string{"1"}, `key "1" for column x: want unknown`},
	} {
		_, err := ParseKey(c.columns, c.parts)
		var wrong *KeyError
		if !errors.As(err, &wrong) || err.Error() != c.want {
			t.Errorf("ParseKey(%q):\n got %v\nwant %s", c.parts, err, c.want)
		}
	}
}

func TestKeysAreCanonical(t *testing.T) {
	columns := []KeyColumn{{Name: "a", Type: KeyText}, {Name: "b"}, {Name: "c", Type: KeyUUID}, {Name: "d", Type: KeyBytes}}
	parts := []string{"ä/b c%", "-9223372036854775808", "0B14DC08-9C4E-4F0F-8D3A-3A0F0A1C2B3D", "_-8"}
	key, err := ParseKey(columns, parts)
	const want = "%C3%A4%2Fb%20c%25/-9223372036854775808/0b14dc08-9c4e-4f0f-8d3a-3a0f0a1c2b3d/_-8"
	if err != nil || key != want {
		t.Fatalf("got %q, %v; want %q", key, err, want)
	}
	got, err := SplitKey(key, 4)
	if err != nil || got[0] != parts[0] || got[3] != parts[3] {
		t.Errorf("split: %q, %v", got, err)
	}
	for part, want := range map[string]Key{".": "%2E", "..": "%2E%2E", "...": "...", "": "", "a@b.c": "a@b.c", "\x00": "%00"} {
		if got := JoinKey(part); got != want {
			t.Errorf("JoinKey(%q) = %q, want %q", part, got, want)
		}
	}
}

func TestSplitKeyRefusals(t *testing.T) {
	for _, c := range []struct {
		key  Key
		n    int
		want string
	}{
		{"a", 0, `key "a": want 0 parts`},
		{"a", 2, `key "a": want 2 parts`},
		{"a/b", 1, `key "a/b": want 1 parts`},
		{"%zz", 1, `key "%zz": want percent-encoded parts`},
		{"%41", 1, `key "%41": want percent-encoded parts`}, // an A needs no encoding
		{"a b", 1, `key "a b": want percent-encoded parts`},
		{"..", 1, `key "..": want percent-encoded parts`},
	} {
		if _, err := SplitKey(c.key, c.n); err == nil || err.Error() != c.want {
			t.Errorf("SplitKey(%q, %d): got %v, want %s", c.key, c.n, err, c.want)
		}
	}
}

// What is accepted comes back the same, and no two part lists share a key.
func FuzzParseKey(f *testing.F) {
	f.Add("42", "a/b", uint8(0))
	f.Add("-0", "..", uint8(1))
	f.Add("0b14dc08-9c4e-4f0f-8d3a-3a0f0a1c2b3d", "%2F\x00", uint8(2))
	f.Add("_-8", "\xff", uint8(3))
	f.Fuzz(func(t *testing.T, a, b string, kind uint8) {
		columns := []KeyColumn{{Name: "a", Type: KeyType(kind % 4)}, {Name: "b", Type: KeyText}}
		key, err := ParseKey(columns, []string{a, b})
		if err != nil {
			var wrong *KeyError
			if !errors.As(err, &wrong) || wrong.Want == "" {
				t.Fatalf("error %v is no full *KeyError", err)
			}
			return
		}
		parts, err := SplitKey(key, 2)
		if err != nil {
			t.Fatalf("SplitKey(%q): %v", key, err)
		}
		if parts[1] != b || parts[0] != a && columns[0].Type != KeyUUID {
			t.Fatalf("%q, %q came back as %q", a, b, parts)
		}
		again, err := ParseKey(columns, parts)
		if err != nil || again != key {
			t.Fatalf("parsed again: %q, %v; first %q", again, err, key)
		}
	})
}
