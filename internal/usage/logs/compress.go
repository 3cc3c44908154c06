package logs

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/bzip2"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
)

const blockSize = 1 << 20

// maxLayers of compression around a log are taken off.
const maxLayers = 4

// plain takes off compression and archive, which the first bytes tell. It returns
// what it took off, outermost first.
func plain(in io.Reader) (out *bufio.Reader, layers []string, err error) {
	out = bufio.NewReaderSize(in, blockSize)
	for len(layers) < maxLayers {
		head, _ := out.Peek(512) // an error comes again when it is read
		name, open := layerOf(head)
		if open == nil {
			return out, layers, nil
		}
		inner, err := open(out)
		if err != nil {
			return nil, layers, fmt.Errorf("it begins like %s, but: %w", name, err)
		}
		layers = append(layers, name)
		out = bufio.NewReaderSize(inner, blockSize)
	}
	return nil, layers, errors.New("it is compressed too many times")
}

func layerOf(head []byte) (name string, open func(io.Reader) (io.Reader, error)) {
	switch {
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b}):
		return "gzip", func(r io.Reader) (io.Reader, error) { return gzip.NewReader(r) }
	case bytes.HasPrefix(head, []byte("\xfd7zXZ\x00")):
		return "xz", func(r io.Reader) (io.Reader, error) { return xz.NewReader(r) }
	case bytes.HasPrefix(head, []byte("BZh")) && len(head) > 3 && head[3] >= '1' && head[3] <= '9':
		return "bzip2", func(r io.Reader) (io.Reader, error) { return bzip2.NewReader(r), nil }
	case bytes.HasPrefix(head, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		return "zstd", func(r io.Reader) (io.Reader, error) {
			return zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(512<<20))
		}
	case len(head) >= 262 && string(head[257:262]) == "ustar":
		return "tar", func(r io.Reader) (io.Reader, error) { return &archive{files: tar.NewReader(r)}, nil }
	}
	return "", nil
}

// archive reads an archive's files one after the other.
type archive struct {
	files *tar.Reader
	open  bool
}

func (a *archive) Read(p []byte) (int, error) {
	for {
		if a.open {
			n, err := a.files.Read(p)
			if n > 0 || !errors.Is(err, io.EOF) {
				return n, err
			}
		}
		h, err := a.files.Next()
		if err != nil {
			return 0, err
		}
		a.open = h.Typeflag == tar.TypeReg
	}
}
