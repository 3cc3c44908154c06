package report

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// CheckPlot says whether WritePlot could write a file of this name, so that one
// need not measure first to learn that its format is unknown.
func CheckPlot(path string) error {
	switch extension(path) {
	case ".svg", ".png":
		return nil
	}
	return fmt.Errorf("plot %q: want a name that ends in .svg or .png", path)
}

func extension(path string) string { return strings.ToLower(filepath.Ext(path)) }

// WritePlot writes the figure as the name says: .svg, which follows light and dark
// screens, or .png with 1920 px of width. Nothing is written if the format is
// unknown.
func WritePlot(path string, r Report) error {
	if err := CheckPlot(path); err != nil {
		return err
	}
	d := layOut(r, false)
	data := []byte(nil)
	if extension(path) == ".svg" {
		data = d.svg(r.Title, false)
	} else {
		var err error
		if data, err = d.png(pngScale); err != nil {
			return fmt.Errorf("plot %q: %w", path, err)
		}
	}
	if err := os.WriteFile(path, data, 0o644); err != nil {
		return fmt.Errorf("plot: %w", err)
	}
	return nil
}
