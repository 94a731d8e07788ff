# make demo   see the whole path once, on this machine, with nothing real at stake
# make test   everything that CI runs
# make help   the rest
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules

# How many compilers and tests run at once.
JOBS ?= 2
PREFIX ?= /usr/local
DESTDIR ?=

export CARGO_TARGET_DIR ?= $(CURDIR)/target
export CARGO_BUILD_JOBS ?= $(JOBS)
export NEXTEST_TEST_THREADS ?= $(JOBS)
# rustup puts cargo there, and a fresh login shell may not know it yet.
export PATH := $(PATH):$(HOME)/.cargo/bin

.PHONY: help deps system-deps venv build release demo test check lint bench install clean

help:
	@echo 'make demo      play the whole path on a virtual token and a fake AWS'
	@echo 'make test      lint, build and run every test'
	@echo 'make check     lint alone (also: make lint)'
	@echo 'make bench     the benchmarks'
	@echo 'make deps      install what building and testing need (apt; elsewhere it names it)'
	@echo 'make install   DESTDIR= PREFIX=/usr/local: the two programs, built for release'
	@echo 'make clean     throw the build away'

deps: system-deps venv

system-deps:
	@scripts/deps

venv:
	@scripts/venv

# make demo BUILD=release plays it with what would be installed.
BUILD ?= debug
export BUILD

build: system-deps
	@scripts/cargo build --workspace --locked $(if $(filter release,$(BUILD)),--release)

demo: build
	@demo/demo.sh

test: deps
	@scripts/test

check lint: system-deps
	@scripts/lint

bench: system-deps
	@scripts/cargo build --locked --package rootseal-virtual-token
	@scripts/cargo build --locked --release --bins --examples
	@'$(CARGO_TARGET_DIR)/release/examples/bench_door'
	@'$(CARGO_TARGET_DIR)/release/examples/bench_vault'

release: system-deps
	@scripts/cargo build --release --locked

# Under sudo there is often no cargo: then what `make release` built before is installed.
install:
	@if command -v cargo >/dev/null; then $(MAKE) --no-print-directory release; fi
	install -D -m 0755 '$(CARGO_TARGET_DIR)/release/rootseal' '$(DESTDIR)$(PREFIX)/bin/rootseal'
	install -D -m 0755 '$(CARGO_TARGET_DIR)/release/rootseald' '$(DESTDIR)$(PREFIX)/bin/rootseald'

clean:
	@scripts/cargo clean
