# Everything a contributor or CI runs is a target here; `make` alone lists them.

GO       ?= go
FUZZTIME ?= 30s

# The packages of this module; benchmarks/ and tools/ are modules of their own.
PACKAGES := ./...
LINT      = $(GO) tool -modfile=$(CURDIR)/tools/go.mod golangci-lint

.DEFAULT_GOAL := help
.PHONY: help build deps test test-long check fmt-check vet lint arch bench bench-backend bench-dashboard bench-instrument bench-rivals bench-tuner bench-usage bench-writes crash fuzz replicas clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## build bin/fulcrum
	$(GO) build -o bin/fulcrum ./cmd/fulcrum

deps: ## check for what the tests need; as root on Debian, install what is missing
	@scripts/deps.sh

test: deps ## run every test with the race detector and the invariants
	$(GO) test -race -tags invariants -timeout 8m $(PACKAGES)
	@if [ -f benchmarks/go.mod ]; then set -x; cd benchmarks && $(GO) test -short -timeout 8m ./...; fi

test-long: deps ## run the long tests too (up to two hours)
	FULCRUM_LONG=1 $(GO) test -race -tags 'invariants long' -timeout 120m $(PACKAGES)

check: fmt-check vet lint arch ## format, vet, lint, import directions, sizes, documentation

fmt-check:
	@bad=$$(gofmt -l .); \
	if [ -n "$$bad" ]; then echo "not formatted (run gofmt -w):"; echo "$$bad"; exit 1; fi

vet:
	$(GO) vet $(PACKAGES)
	$(GO) vet -tags 'invariants long' $(PACKAGES)
	@if [ -f benchmarks/go.mod ]; then set -x; cd benchmarks && $(GO) vet ./...; fi

lint:
	$(LINT) run $(PACKAGES)
	@if [ -f benchmarks/go.mod ]; then set -x; cd benchmarks && $(LINT) run ./...; fi

arch:
	$(GO) test -count=1 ./internal/arch

bench-rivals: ## compare with other libraries; writes docs/results/rivals.md
	cd benchmarks && $(GO) run ./cmd/bench-rivals -o ../docs/results/rivals.md

bench-dashboard: deps ## measure the dashboard: bytes, first paint, what an open page costs
	FULCRUM_MEASURE=1 $(GO) test -count 1 -v -run TestDashboardGates ./internal/gateway

bench-instrument: ## measure the bench itself; writes docs/results/instrument.md
	cd benchmarks && $(GO) run ./cmd/bench-instrument -o ../docs/results/instrument.md

bench: ## measure: the library's benchmarks, then those against its rivals
	$(GO) test -run '^$$' -bench . -benchmem .
	cd benchmarks && $(GO) run ./cmd/bench-gates

bench-tuner: ## simulate the tuner and its rivals (ten minutes); writes docs/results/tuner.md
	@mkdir -p .cache
	cd benchmarks && $(GO) run ./cmd/bench-tuner -book ../.cache/tuner.jsonl -o ../docs/results/tuner.md

bench-backend: ## measure tuner, overload and urgent requests on PostgreSQL (half an hour); writes docs/results/backend.md
	cd benchmarks && $(GO) run ./cmd/bench-backend -o ../docs/results/backend.md -plot ../docs/results/overload.svg

bench-writes: ## measure gathered writes; writes docs/results/writes.md
	cd benchmarks && $(GO) run ./cmd/bench-writes -o ../docs/results/writes.md

bench-usage: ## read logs beside GoAccess; writes docs/results/usage.md
	cd benchmarks && $(GO) run ./cmd/bench-usage -o ../docs/results/usage.md

crash: deps ## kill writers and servers 2,000 times (three minutes); writes docs/results/crash.md
	@GO='$(GO)' scripts/crash.sh

replicas: deps ## read from replicas that lag, fail and take over, at length (a minute); writes docs/results/replicas.md
	@GO='$(GO)' scripts/replicas.sh

fuzz: ## run each fuzz target for FUZZTIME (default 30s), stop at the first finding
	@GO='$(GO)' FUZZTIME='$(FUZZTIME)' scripts/fuzz.sh

clean: ## remove what was built
	rm -rf bin
