package docs_test

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The generator may be late on a busy machine, and says so: that is what the guide
// promises, and no fault.
func TestTheGuideToTheBenchWorksAsTyped(t *testing.T) {
	port := ports(t)
	addresses := " --listen " + port.Replace("127.0.0.1:8080") + " --admin " + port.Replace("127.0.0.1:8081")
	fulcrum, dir := command(t), t.TempDir()
	shell := func(line string) (string, error) {
		cmd := exec.Command("sh", "-c", port.Replace(line))
		cmd.Dir = dir
		cmd.Env = append(cmd.Environ(), "PATH="+filepath.Dir(fulcrum)+":/usr/bin:/bin")
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	ran := 0
	for _, block := range blocks(t, "guide/bench.md", "sh") {
		for line := range strings.Lines(block) {
			line = strings.TrimSpace(line)
			switch {
			case strings.HasPrefix(line, "fulcrum demo"):
				line += addresses
			case strings.Contains(line, "--url"):
				start(t, fulcrum, strings.Fields("demo --rate 1 --db "+filepath.Join(dir, "profiles.db")+addresses)...)
				answering(t, port.Replace("localhost:8081"))
			}
			ran++
			if out, err := shell(line); err != nil && !strings.Contains(out, "invalid: the generator was late") {
				t.Errorf("%s: %v\n%s", line, err, out)
			}
		}
	}
	if ran != 5 {
		t.Errorf("ran %d lines, the guide should have 5", ran)
	}
}
