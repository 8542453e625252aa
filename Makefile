# Tenantry. `make` alone lists what there is to do.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help demo dev test chaos soak fuzz clients browser picture model bench bench-pages lint fmt services-up services-down clean-data toolchain redis

SERVICES := docker/services
# The program with embedded stores alone: no drivers of servers are built, which is most of a first build. Where
# originals go to S3, its driver is.
EMBEDDED := --package tenantry --no-default-features $(if $(TENANTRY_BLOBS_URL),--features s3)
CARGO_RUN := cargo run --quiet --locked $(EMBEDDED) --

# Where rustup puts Rust, for a shell that was open before the installation.
export PATH := $(PATH):$(or $(CARGO_HOME),$(HOME)/.cargo)/bin
# Reaches the recipe as a variable of the shell, so that any path will do.
export DOCS
# With 1, the demo exits when done and prints one line of JSON, the only line on standard output.
ONESHOT ?=
ONESHOT_FLAG := $(if $(filter 1 yes true,$(ONESHOT)),--oneshot)

# Tests with programs that are fetched once: requests and clients made out of the API's description, and a browser.
IGNORED = $(SERVICES)/run.sh cargo test --locked --workspace --test it -- --ignored --test-threads 1
FUZZ = export SCHEMATHESIS=$$($(SERVICES)/schemathesis.sh) EXAMPLES=$(EXAMPLES);
CLIENTS = export CLIENTS=$$($(SERVICES)/clients.sh);
BROWSER = export BROWSER=$$($(SERVICES)/browser.sh);

# How many requests `make fuzz` makes up for each operation.
EXAMPLES ?= 5

# How much `make bench-pages` writes before it measures.
TENANTS ?= 100000
JOBS ?= 50000

# For how long `make chaos` breaks each thing, and how long `make soak` takes.
CHAOS_SECONDS ?= 30
SOAK_MINUTES ?= 60

# How many seeds `make model` tries, and the first of them.
SEEDS ?= 10000
FIRST ?= 0

help: ## List the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: toolchain redis ## Two tenants, two graphs, live; DOCS=folder for your own, ONESHOT=1 to exit at the end
	@cargo build --locked $(EMBEDDED) >&2
	@exec $(CARGO_RUN) demo $(ONESHOT_FLAG) $${DOCS:+--docs "$$DOCS"}

dev: toolchain $(if $(REDIS_URL),,redis) ## API, worker and scheduler in one process, data in .data
	@cargo build --locked $(EMBEDDED) >&2
	@exec $(CARGO_RUN) dev

test: lint ## Format, lints, documentation, then all tests on real servers (installed and started if need be)
	cargo build --locked --workspace --all-targets # with the programs that some tests start and kill
	@$(SERVICES)/run.sh cargo test --locked --workspace
	@$(FUZZ) $(CLIENTS) $(BROWSER) $(IGNORED) fuzz:: clients:: browser::

fuzz: toolchain ## Try the API with requests made out of its own description; EXAMPLES=50 for more of them
	@$(FUZZ) $(IGNORED) fuzz::

clients: toolchain redis ## Check the API's description, make a Python and a TypeScript client of it, and use both
	cargo build --locked --workspace --bin tenantry
	@$(CLIENTS) cargo test --locked --workspace --test it -- --ignored --test-threads 1 clients::

browser: toolchain ## Walk through the dashboard in Chromium, as operator, ADMIN and VIEWER
	@$(BROWSER) $(IGNORED) browser::

model: toolchain redis ## Try the queue against its model at length: SEEDS=10000 random scripts from seed FIRST=0 on
	@TENANTRY_MODEL_SEEDS=$(SEEDS) TENANTRY_MODEL_FIRST_SEED=$(FIRST) \
		cargo test --locked --package fair-queue --test it -- model:: --nocapture

chaos: toolchain ## Kill, freeze and break everything under load, each fault for CHAOS_SECONDS=30; the table is in tests/README.md
	cargo build --locked --workspace --all-targets
	@export CHAOS_STORES=all CHAOS_SECONDS=$(CHAOS_SECONDS); \
		$(SERVICES)/run.sh cargo test --locked --workspace --test it -- --include-ignored --nocapture --test-threads 1 \
		--skip worker_process --skip soak:: chaos::

soak: toolchain ## Steady work for SOAK_MINUTES=60: memory, handles and connections stay as they are
	cargo build --locked --workspace --all-targets
	@export SOAK_MINUTES=$(SOAK_MINUTES); \
		$(SERVICES)/run.sh cargo test --locked --workspace --test it -- --ignored --nocapture --exact chaos::soak::nothing_grows

bench: toolchain redis ## Measure the queue beside its peers; ONLY=drain for one figure, QUICK=1 for fewer runs
	@cargo run --release --locked --quiet --package benches --bin bench

bench-pages: toolchain redis ## Measure the dashboard in Chromium; TENANTS=100000 JOBS=50000
	@cargo build --release --locked --package tenantry
	@$(BROWSER) export MEASURED_PROGRAM=$${MEASURED_PROGRAM:-$$PWD/target/release/tenantry} TENANTS=$(TENANTS) JOBS=$(JOBS); \
		cargo test --locked --package tests --test it -- --ignored --nocapture pages_at_scale::

picture: toolchain redis ## Take the picture of the README from a demo that is busy
	@cargo build --locked $(EMBEDDED)
	@$(BROWSER) PYTHONPATH=$$BROWSER python3 tests/browser/picture.py target/debug/tenantry docker/demo/dashboard.png

lint: toolchain ## Check format, lints and documentation
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS=-Dwarnings cargo doc --locked --workspace --no-deps

fmt: ## Format the code
	cargo fmt --all

services-up: ## Start the real servers as plain processes; their URLs go to .data/services.env
	@$(SERVICES)/up.sh

services-down: ## Stop them and delete their data
	@$(SERVICES)/down.sh

clean-data: services-down ## Delete everything the demo and `make dev` have stored
	rm -rf .data

toolchain:
	@$(SERVICES)/toolchain.sh

# Only the program: the demo always starts a process of its own, `make dev` unless REDIS_URL names a server.
redis:
	@$(SERVICES)/redis.sh packages
