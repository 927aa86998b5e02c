# The only entry points: `make` lists them. What needs more than a few lines is a script in scripts/.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules

TARGET := $(or $(CARGO_TARGET_DIR),target)

# What `make run` starts, and what it builds guests with. Named one by one, so that tests and benches add nothing to them.
RELEASE := --package portcullis-gateway --package portcullis-example-upstream --package portcullis-guest-tool
# The same selection in `lint` and `test`: dependencies are built once per profile.
EVERYTHING := --workspace --all-targets

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: setup
setup: ## find or fetch the compiler for guests; the other targets do this by themselves
	@scripts/wasm-toolchain.sh >/dev/null

.PHONY: guests
guests: setup ## build the policies in plugins/ into target/plugins/*.wasm
	scripts/build-guests.sh

.PHONY: run
run: setup ## build everything and start the demo; flags go in ARGS="--listen 127.0.0.1:5000"
	cargo build --locked --release $(RELEASE)
	PORTCULLIS_GUEST=$(TARGET)/release/portcullis-guest scripts/build-guests.sh
	@PORTCULLIS_PLUGINS_DIR=target/plugins exec $(TARGET)/release/portcullis demo $(ARGS)

.PHONY: test
test: setup ## run every test: units, policies, the built binary with real servers and clients, conformance
	cargo build --locked $(EVERYTHING)
	PORTCULLIS_GUEST=$(TARGET)/debug/portcullis-guest scripts/build-guests.sh
	scripts/test-clients.sh
	scripts/test-registry.sh
	cd plugins && cargo test --locked --workspace
	cargo test --locked --workspace
	$(TARGET)/debug/portcullis-fuzz --seconds 5
	$(TARGET)/debug/portcullis-conformance

.PHONY: conformance
conformance: setup ## run the official conformance suite; writes target/conformance/report.json
	cargo build --locked $(EVERYTHING)
	PORTCULLIS_GUEST=$(TARGET)/debug/portcullis-guest scripts/build-guests.sh
	scripts/test-clients.sh conformance
	$(TARGET)/debug/portcullis-conformance $(ARGS)

.PHONY: pairs
pairs: setup ## let real clients and servers meet through the gateway; writes the table in docs/compatibility.md
	cargo build --locked $(EVERYTHING)
	PORTCULLIS_GUEST=$(TARGET)/debug/portcullis-guest scripts/build-guests.sh
	scripts/test-clients.sh
	PORTCULLIS_PAIRS_WRITE=1 cargo test --locked --workspace --test blackbox pairs::

.PHONY: hostile
hostile: setup ## let every hostile guest loose, and watch another tenant; writes target/hostile/report.json
	cargo build --locked --release $(RELEASE) --package portcullis-tests --bins
	PORTCULLIS_GUEST=$(TARGET)/release/portcullis-guest scripts/build-guests.sh
	cargo bench --locked $(RELEASE) --package portcullis-sandbox --bench metering
	$(TARGET)/release/portcullis-hostile $(ARGS)

.PHONY: fuzz
fuzz: ## fuzz uploads, what guests answer and edits of JSON; ARGS="--seconds 600" for longer
	cargo build --locked --release $(RELEASE) --package portcullis-fuzz
	$(TARGET)/release/portcullis-fuzz $(ARGS)

.PHONY: lint
lint: ## formatting, clippy, generated bindings, licences and bans of dependencies
	cargo fmt --check
	cd plugins && cargo fmt --check
	cargo clippy --locked $(EVERYTHING) -- --deny warnings
	cd plugins && cargo clippy --locked $(EVERYTHING) -- --deny warnings
	cargo build --locked --workspace --bin portcullis-guest
	$(TARGET)/debug/portcullis-guest bindings --check
	scripts/check-dependencies.sh

.PHONY: bench
bench: setup ## measure one hook, one chain and the whole walk; writes target/bench/report.json
	cargo build --locked --release $(RELEASE) --package portcullis-benches --bins
	PORTCULLIS_GUEST=$(TARGET)/release/portcullis-guest scripts/build-guests.sh
	scripts/bench-tools.sh
	cargo bench --locked $(RELEASE) --package portcullis-benches --bench hooks
	$(TARGET)/release/portcullis-bench $(ARGS)

.PHONY: clean
clean: ## remove everything that was built; the guests' compiler stays in its cache
	cargo clean
