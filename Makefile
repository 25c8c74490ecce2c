# The front door. `make help` lists what it does; the build itself is meson.build.
SHELL := /bin/sh
.DEFAULT_GOAL := all
.PHONY: all help packages build demo test lint golden soak image bench install clean distclean
.NOTPARALLEL:

BUILD ?= build
BIN ?= bin
PREFIX ?= /usr/local
PACKAGES ?= install
JOBS ?= $(shell getconf _NPROCESSORS_ONLN)
FUZZ_SECONDS ?= 600
PYTEST_ARGS ?=
IMAGE ?=

export BUILD BIN JOBS PYTEST_ARGS

# Homebrew keeps libraries that macOS also has out of the way.
ifeq ($(shell uname -s),Darwin)
export PKG_CONFIG_PATH := $(shell for p in libarchive curl openssl@3; do \
	printf '%s/opt/%s/lib/pkgconfig:' "$$(brew --prefix)" "$$p"; done)$(PKG_CONFIG_PATH)
endif

all: build ## build bin/tailmac, bin/Host and bin/vnet

help: ## this list
	@sed -n 's/^\([a-z]*\):[^#]*## \(.*\)/make \1|\2/p' Makefile | awk -F'|' '{printf "%-16s%s\n", $$1, $$2}'
	@echo
	@echo 'PACKAGES=skip     leave the system'"'"'s packages alone'
	@echo 'JOBS=N            how many tests run at once (default: one a processor)'
	@echo 'PYTEST_ARGS=...   more arguments for the end-to-end tests'
	@echo 'FUZZ_SECONDS=N    how long make soak gives each fuzz target (default: 600)'
	@echo 'E2E_SECONDS=N     ends the end-to-end tests after that long (default: never)'
	@echo 'DESTDIR= PREFIX=  where make install puts things (default: /usr/local)'

packages: ## install what is missing on this machine
	@[ '$(PACKAGES)' = skip ] || scripts/install-packages.sh

build:
	@scripts/build.sh '$(BUILD)' '$(BIN)'

demo: packages build image ## show what it does, in a minute or two
	@scripts/demo.sh

test: ## everything that is checked; ends with the count
	@$(MAKE) --no-print-directory packages || { echo '0 passed, 1 failed'; exit 1; }
	@scripts/run-tests.py build image lint unit fuzz golden e2e

lint: build ## format, static analysis, function lengths, import directions
	@scripts/lint.sh

golden: build ## expected outputs; UPDATE=1 rewrites them
	@scripts/golden.py $(if $(UPDATE),--update)

soak: packages build image ## the long forms: pytest --soak, and each fuzz target for FUZZ_SECONDS
	@FUZZ_SECONDS='$(FUZZ_SECONDS)' PYTEST_ARGS='--soak $(PYTEST_ARGS)' \
		scripts/run-tests.py fuzz e2e

image: ## guest images for the tests and the demo; IMAGE=debian: another
	@scripts/build-images.sh '$(BIN)/images' $(IMAGE)

bench: packages build image ## measure
	@tests/bench/run

install: build ## programs, man pages, completions
	@scripts/install.sh '$(BIN)' '$(DESTDIR)$(PREFIX)'

clean: ## remove what was built; downloaded Debian packages stay
	@find '$(BUILD)' -mindepth 1 -maxdepth 1 ! -name debs -exec rm -rf {} + 2>/dev/null || true
	@rm -rf '$(BUILD)-test' '$(BUILD)-asan' '$(BIN)'

distclean: clean ## the downloads too
	@rm -rf '$(BUILD)'
