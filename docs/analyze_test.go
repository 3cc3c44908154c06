package docs_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The logs that the guide names.
var guideLogs = map[string]string{
	"slow.log":  "1.2.3.4 [10/Oct/2000:13:55:36 +0000] \"GET /x HTTP/1.1\" 200 0.020\n",
	"app.jsonl": `{"time":"2024-01-01T00:00:00Z","http":{"path":"/x"},"ms":12}` + "\n",
}

func TestTheGuideToAnalyzeWorksAsTyped(t *testing.T) {
	recorded, err := os.ReadFile("../cmd/fulcrum/testdata/apache_access_400.log")
	if err != nil {
		t.Fatal(err)
	}
	fulcrum, dir := command(t), t.TempDir()
	guideLogs["access.log"], guideLogs["access.log.1"], guideLogs["access.log.2.gz"] = string(recorded), string(recorded), string(recorded)
	for name, text := range guideLogs {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	ran := 0
	for _, block := range blocks(t, "guide/analyze.md", "sh") {
		for line := range strings.Lines(block) {
			cmd := exec.Command("sh", "-c", line)
			cmd.Dir = dir
			cmd.Env = append(cmd.Environ(), "PATH="+filepath.Dir(fulcrum)+":/usr/bin:/bin")
			ran++
			if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "requests") || strings.Contains(string(out), " 0 requests") {
				t.Errorf("%s: %v\n%s", line, err, out)
			}
		}
	}
	if ran != 5 {
		t.Errorf("ran %d lines, the guide should have 5", ran)
	}
	if _, err := os.Stat(filepath.Join(dir, "usage.html")); err != nil {
		t.Error(err)
	}
}
