# What people type here. `make` lists it.

# Arguments for the node: make run ARGS="--set rtmp.listen=0.0.0.0:1935"
ARGS ?=
# How long each fuzz target runs: make fuzz SECONDS=600
SECONDS ?= 60

TARGET := $(or $(CARGO_TARGET_DIR),target)

.DEFAULT_GOAL := help
.PHONY: help run test test-deps bench fuzz fmt lint doc ci

help: ## List these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## Build in release and run a node: RTMP on 127.0.0.1:1935, HTTP on 127.0.0.1:8080
	@cargo build --release --locked -p lockgate-node
	@exec $(TARGET)/release/lockgate run $(ARGS)

test: test-deps ## Run every test, those with real clients included
	cargo test --workspace --locked

test-deps: ## Install what the tests need besides Rust
	@scripts/test-deps.sh

bench: ## Run the benches of the hot path
	cargo bench --locked -p lockgate-benches

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
