package events

import "testing"

// FuzzParseID: what is taken for an ID is written as it was read.
func FuzzParseID(f *testing.F) {
	for _, s := range []string{"", "a.1", "20260102T030405.18446744073709551615", "a.b.1", ".1", "a.", "a.-1", "a.+1", "a.01"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		id, err := ParseID(text)
		if err != nil || text == "" {
			return
		}
		again, err := ParseID(id.String())
		if err != nil || again != id {
			t.Fatalf("%q became %+v, then %+v, %v", text, id, again, err)
		}
		l := New[int](2, "a")
		l.Follow(id) // whatever it names
	})
}
