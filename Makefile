# The two commands of the README and their relatives. `make demo ARGS="--keep"` passes options on.
.DEFAULT_GOAL := help
.PHONY: help demo test bench lint docs

TARGET := $(or $(CARGO_TARGET_DIR),target)

help: ## lists what there is
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' Makefile

demo: ## builds the server, runs it with everything embedded and moves a real tree through its APIs
	@scripts/setup.sh demo
	cargo build --release --locked -p wharf
	$(TARGET)/release/wharf demo $(ARGS)

test: ## installs SDKs and peers, then runs every test
	@scripts/setup.sh test
	@scripts/test.sh

bench: ## measures against s5cmd, rclone and juicefs sync
	@scripts/setup.sh bench
	cargo build --release --locked -p wharf
	cargo build --release --locked -p embedded-s3 --example serve
	cargo build --release --locked -p flow-capture --example capture
	bench/run.sh $(ARGS)

lint: ## formatting, clippy, the workspace's own rules, licences
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	cargo xtask tidy
	cargo xtask licenses

docs: ## writes the coverage tables of the doors anew
	cargo run --quiet --locked -p wharf -- coverage --write .
