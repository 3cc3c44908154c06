package gateway

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/fulcrum-data/fulcrum"
	"github.com/fulcrum-data/fulcrum/store"
)

func TestBatchGet(t *testing.T) {
	h := newGateway(t, testConfig(&memory{})).Data()
	for _, c := range []struct{ resource, keys, want string }{
		{"users", `[2, 1 ,"3"]`, `{"rows":{"2":{"key":["2"],"pad":""},"1":{"key":["1"],"pad":""},"3":{"key":["3"],"pad":""}},"missing":[],"errors":{}}`},
		{"users", `[1,1,"1","01"]`, `{"rows":{"1":{"key":["1"],"pad":""}},"missing":[],"errors":{}}`},
		{"users", `[9007199254740993]`, `{"rows":{"9007199254740993":{"key":["9007199254740993"],"pad":""}},"missing":[],"errors":{}}`},
		{"users", `[-1,-2,-1]`, `{"rows":{},"missing":["-1","-2"],"errors":{}}`},
		{"things", `["a/b","","nobody","grüße","\u00fc\ud83d\ude00","\ufffd"]`, `{"rows":{"a%2Fb":{"key":["a/b"],"pad":""},"":{"key":[""],"pad":""},"gr%C3%BC%C3%9Fe":{"key":["grüße"],"pad":""},` +
			`"%C3%BC%F0%9F%98%80":{"key":["ü😀"],"pad":""},"%EF%BF%BD":{"key":["�"],"pad":""}},"missing":["nobody"],"errors":{}}`},
		{"members", `[["acme",7],["a/b","8"]]`, `{"rows":{"acme/7":{"key":["acme","7"],"pad":""},"a%2Fb/8":{"key":["a/b","8"],"pad":""}},"missing":[],"errors":{}}`},
		{"users", `[1,"a b",1.5,"a b"]`, `{"rows":{"1":{"key":["1"],"pad":""}},"missing":[],"errors":{` +
			`"a%20b":{"type":"/problems/bad_key","title":"The key does not fit the resource","status":400,"detail":"key \"a b\" for column id: want an integer","instance":"/v1/users/a%20b","code":"bad_key"},` +
			`"1.5":{"type":"/problems/bad_key","title":"The key does not fit the resource","status":400,"detail":"key \"1.5\" for column id: want an integer","instance":"/v1/users/1.5","code":"bad_key"}}}`},
	} {
		a := ask(t, h, "POST", "/v1/"+c.resource+":batchGet", `{"keys":`+c.keys+`}`)
		if a.StatusCode != 200 || a.text != c.want {
			t.Errorf("%s %s: %d\n got %s\nwant %s", c.resource, c.keys, a.StatusCode, a.text, c.want)
		}
	}
}

// As many keys as are allowed fit in a body as long as is allowed.
func TestBatchGetOfTenThousand(t *testing.T) {
	h := newGateway(t, testConfig(&memory{})).Data()
	var body strings.Builder
	for i := range defaultMaxKeys {
		fmt.Fprintf(&body, ",%d", 1_000_000_000_000_000_000+i)
	}
	a := ask(t, h, "POST", "/v1/users:batchGet", `{"keys":[`+body.String()[1:]+`]}`)
	if a.StatusCode != 200 {
		t.Fatal(a.StatusCode, a.text)
	}
	if rows := a.json(t)["rows"].(map[string]any); len(rows) != defaultMaxKeys {
		t.Errorf("%d rows", len(rows))
	}
}

// One bad row does not fail its neighbours.
func TestBatchGetPartlyFailed(t *testing.T) {
	h := newGateway(t, testConfig(&memory{fetch: func(_ context.Context, keys []store.Key) error {
		for _, k := range keys {
			if k == "13" {
				return fulcrum.Divisible(errors.New("row 13: secret of the database"))
			}
		}
		return nil
	}})).Data()
	a := ask(t, h, "POST", "/v1/users:batchGet", `{"keys":[12,13,14]}`)
	m := a.json(t)
	failed, rows := m["errors"].(map[string]any), m["rows"].(map[string]any)
	if a.StatusCode != 200 || len(rows) != 2 || len(failed) != 1 {
		t.Fatal(a.StatusCode, a.text)
	}
	if p := failed["13"].(map[string]any); p["code"] != "internal" || p["status"] != 500. {
		t.Error(a.text)
	}
	if strings.Contains(a.text, "secret") {
		t.Errorf("an inner error got out: %s", a.text)
	}
}
