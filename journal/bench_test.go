package journal

import (
	"path/filepath"
	"strconv"
	"sync"
	"testing"
)

// BenchmarkAppend is records of 256 bytes from so many callers at once; ns/op is the time
// from one to the next, whoever's it is.
func BenchmarkAppend(b *testing.B) {
	for _, callers := range []int{1, 16, 128, 512} {
		b.Run(strconv.Itoa(callers), func(b *testing.B) {
			j := openIn(b, filepath.Join(b.TempDir(), "j"), func(c *Config) { c.synchronous = "full" })
			data := make([]byte, 256)
			b.ReportAllocs()
			b.ResetTimer()
			var wg sync.WaitGroup
			for caller := range callers {
				wg.Go(func() {
					for i := caller; i < b.N; i += callers {
						r, err := j.Append(b.Context(), "", strconv.Itoa(i), data, nil)
						if err != nil {
							b.Error(err)
							return
						}
						if r.Offset%10_000 == 0 {
							j.Trim(0, r.Offset-10_000)
						}
					}
				})
			}
			wg.Wait()
		})
	}
}
