# Undercroft: `make run` serves S3 from ./data, `make test` proves it.
# `make` alone lists the targets. Go and make are enough for run and build.

GO      ?= go
DATA    ?= ./data
ARGS    ?=
FUZZTIME ?= 3s
SEEDS   ?= 100
SEED    ?= 1000
STEPS   ?= 60

# The version is what git says, or what a tarball's builder passes in.
VERSION ?= $(or $(shell git describe --tags --always --dirty 2>/dev/null),dev)
LDFLAGS := -X main.version=$(VERSION)
TOOLS   := $(CURDIR)/tools/bin
LINT    := $(TOOLS)/golangci-lint
GOFUMPT := $(TOOLS)/gofumpt
# Stamping by Go itself fails in a checkout that belongs to somebody else.
export GOFLAGS := $(GOFLAGS) -buildvcs=false

.DEFAULT_GOAL := help
.PHONY: help run build build-fdb test stress test-fdb test-quick fuzz sim lint fmt fmt-check vet check compat s3-tests bench docs deadcode tools clean

help: ## List the targets
	@echo "Targets:"
	@sed -n 's/^\([a-z0-9-]*\):[^#]*## \(.*\)/  \1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{ printf "%-14s %s\n", $$1, $$2 }'

run: build ## Serve S3 from ./data (DATA=DIR and ARGS='--flag ...' change that)
	exec bin/undercroft server --data '$(DATA)' $(ARGS)

build: ## Build bin/undercroft, static, with the version from git
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/undercroft ./cmd/undercroft

build-fdb: ## Build bin/undercroft-fdb, which can use FoundationDB (FDB_HOME says where it is, if not in the system)
	@GO='$(GO)' LDFLAGS='$(LDFLAGS)' tools/fdb.sh build

test: ## All tests with the race detector, after a short fuzzing of every target (FUZZTIME=3s)
	FUZZTIME=$(FUZZTIME) GO='$(GO)' tools/test.sh

test-quick: ## The tests that -short leaves, without the race detector
	$(GO) test -short -timeout 5m ./...

stress: ## Repeat each test of PKG=./partition with the race detector, BUDGET=6 seconds each, to find what fails now and then
	GO='$(GO)' RUN='$(RUN)' BUDGET='$(or $(BUDGET),6)' tools/stress.sh $(PKG)

test-fdb: ## All tests that need FoundationDB, on clusters of fdbserver processes that they start
	@GO='$(GO)' tools/fdb.sh test

fuzz: ## Fuzz every target for a minute each (FUZZTIME=1m)
	FUZZTIME=$(if $(filter-out 3s,$(FUZZTIME)),$(FUZZTIME),1m) GO='$(GO)' tools/fuzz.sh

sim: ## Simulate the whole store on failing disks: SEEDS=100 of them from SEED=1000 on, STEPS=60 each
	$(GO) test ./internal/sim -run '^TestSimulation$$' -v -timeout 0 -args -seeds $(SEEDS) -seed $(SEED) -steps $(STEPS)

check: fmt-check vet lint test-quick ## What to run before a commit: format, vet, lint, quick tests

fmt: $(GOFUMPT) ## Format all Go files
	$(GOFUMPT) -w $$(git ls-files --cached --others --exclude-standard '*.go')

fmt-check: $(GOFUMPT)
	@unformatted=$$($(GOFUMPT) -l $$(git ls-files --cached --others --exclude-standard '*.go')); \
	if [ -n "$$unformatted" ]; then echo "not formatted (run make fmt):"; echo "$$unformatted"; exit 1; fi

vet:
	$(GO) vet ./...
	$(GO) vet -tags compat ./compat-tests/...

lint: $(LINT) ## Run golangci-lint, and prove that its import rules can fire
	$(LINT) run ./...
	LINT='$(LINT)' tools/lint-proof.sh

deadcode: tools ## List functions that nothing calls
	$(TOOLS)/deadcode -test ./...

compat: build ## Drive the binary with real S3 clients; installs them where it can
	compat-tests/run.sh

s3-tests: build ## Run Ceph's s3-tests, all or K=policy; S3TESTS_DIR names its checkout
	compat-tests/s3-tests/run.py --binary bin/undercroft -k '$(K)'

bench: build ## Run the table of benchmarks; bench/README.md says how to compare
	bench/run.sh

docs: ## Generate docs/s3-coverage.md and the README's settings from their tables
	$(GO) test ./gateway -run '^TestCoverageDocument$$' -update
	$(GO) test ./internal/config -run '^TestReadmeShowsTheTable$$' -update

tools: ## Build the development tools into tools/bin
	cd tools && GOBIN='$(TOOLS)' $(GO) install tool

$(LINT) $(GOFUMPT): tools/go.mod tools/go.sum
	cd tools && GOBIN='$(TOOLS)' $(GO) install tool
	@touch $(LINT) $(GOFUMPT)

clean: ## Remove what was built; ./data stays
	rm -rf bin tools/bin
