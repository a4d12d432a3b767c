# What people type here. `make` lists it.

# Arguments for the node: make run ARGS="--set rtmp.listen=0.0.0.0:1935"
ARGS ?=
# How long each fuzz target runs: make fuzz SECONDS=600
SECONDS ?= 60

TARGET := $(or $(CARGO_TARGET_DIR),target)
# A newer Node.js than the system's, where scripts/test-deps.sh had to fetch one.
export PATH := $(CURDIR)/target/test-tools/bin:$(PATH)

.DEFAULT_GOAL := help
# What the console is made of.
CONSOLE := $(shell find console/src sdk/src -type f) $(wildcard console/*.html console/*.json console/*.mjs console/scripts/*)

.PHONY: help run console demo sdk test test-deps test-sdk test-console bench bench-peers fuzz fmt lint doc ci

help: ## List these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: console ## Build in release and run a node: RTMP on 127.0.0.1:1935, HTTP on 127.0.0.1:8080
	@cargo build --release --locked -p lockgate-node
	@exec $(TARGET)/release/lockgate run $(ARGS)

# A node is complete without its console: it then says on / how to get it.
console: ## Build the console that the node carries and shows at /, where npm is there
	@if ! command -v npm >/dev/null; then \
		echo "no npm here: the node goes without its console"; \
	elif ! $(MAKE) --silent console/dist/index.html; then \
		echo "the console was not built (it takes Node.js 20.19 or later): the node goes without, or with an older one"; \
	fi

console/dist/index.html: console/node_modules/.package-lock.json $(CONSOLE)
	@npm --prefix console run --silent build

console/node_modules/.package-lock.json: console/package-lock.json
	@npm ci --prefix console --ignore-scripts --no-audit --no-fund --silent

demo: sdk ## Let two members meet by the SDK, with ffmpeg as their cameras (LOCKGATE_URL: at that node)
	@cargo build --release --locked -p lockgate-node
	@LOCKGATE_BIN="$(abspath $(TARGET))/release/lockgate" node sdk/scripts/demo.mjs

sdk: sdk/node_modules/.package-lock.json ## Build the SDK into sdk/dist, and into the demo mini program
	@npm --prefix sdk run --silent build

sdk/node_modules/.package-lock.json: sdk/package-lock.json
	@npm ci --prefix sdk --ignore-scripts --no-audit --no-fund --silent

test: test-deps ## Run every test, those with real clients included
	@$(MAKE) --no-print-directory test-console console/dist/index.html sdk
	cargo test --workspace --locked
	@$(MAKE) --no-print-directory test-sdk BUILT=1

test-console: console/node_modules/.package-lock.json ## Check the console's types and run its own tests
	@npm --prefix console test --silent

# BUILT: the node is built already, by `make test` and with what the tests share.
test-sdk: sdk/node_modules/.package-lock.json ## Run the tests of the SDK, with a node and real media as well
	@$(if $(BUILT),,cargo build --locked -p lockgate-node)
	@npm --prefix sdk test --silent
	@LOCKGATE_BIN="$(abspath $(TARGET))/debug/lockgate" npm --prefix sdk run --silent e2e

test-deps: ## Install what the tests need besides Rust
	@scripts/test-deps.sh

bench: ## Run the benches of the hot path
	cargo bench --locked -p lockgate-benches

# ROWS="1 4", ROUNDS=1, PEERS="nginx nms xiu" and others: benches/peers/run.py --help
bench-peers: ## Measure the node beside nginx-rtmp and others, and write docs/benchmarks.md
	@python3 benches/peers/run.py

fuzz: ## Fuzz everything that parses a peer's bytes, SECONDS each (needs nightly and cargo-fuzz)
	@cargo +nightly fuzz list | while read -r name; do \
		echo "fuzzing $$name for $(SECONDS) s"; \
		mkdir -p "fuzz/corpus/$$name" "fuzz/seeds/$$name"; \
		cargo +nightly fuzz run "$$name" "fuzz/corpus/$$name" "fuzz/seeds/$$name" -- \
			-max_total_time=$(SECONDS) || exit 1; \
	done

fmt: ## Format the code
	cargo fmt --all

lint: ## Check format and lints as CI does
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings

doc: ## Build the docs as CI does
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked

ci: ## Run what CI runs
	.ci/run
