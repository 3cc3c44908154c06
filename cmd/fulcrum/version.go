package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

// versionCommand is fulcrum version.
type versionCommand struct{}

// Run prints version, commit and platform in one line.
func (versionCommand) Run(t terminal) error {
	_, err := fmt.Fprintf(t.stdout, "fulcrum %s %s %s/%s\n", version(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return err
}

// version is what the build says of itself: the module's version, or for a build
// from a checkout "(devel)", and its commit.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" {
		return "(unknown)"
	}
	v := info.Main.Version
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && v == "(devel)" {
			v += " " + s.Value[:min(12, len(s.Value))]
		}
	}
	return v
}
