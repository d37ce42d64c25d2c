# Everything happens in this checkout: .venv (the environment), .cache (what was built), .servers (test servers).
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.ONESHELL:
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

PYTHON ?= python3
BIN := .venv/bin
STAMPS := .venv/.stamps
# Locks are complete, so dependencies are not resolved again; a file whose hash differs is refused.
UV_INSTALL := $(BIN)/uv pip install --python $(BIN)/python --no-deps --require-hashes --build-constraints requirements/build.txt
EXTRAS := forecast graph neo4j redis chat mcp otel dask
COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate

.PHONY: help
help: ## show the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 18

.PHONY: install dev llm
install: $(STAMPS)/base ## make .venv with everything but the language model
dev: $(STAMPS)/dev ## install, with the extras and tools that the tests need
llm: $(STAMPS)/llm ## install, with the language model (a source build of some minutes)

$(BIN)/uv: requirements/uv.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "aiops needs Python 3.11 or newer; set PYTHON=")'
	echo "making .venv"
	[ -x $(BIN)/python ] || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements/uv.txt
	touch $@

$(STAMPS)/base: $(BIN)/uv requirements/base.txt requirements/build.txt pyproject.toml
	@mkdir -p $(STAMPS)
	echo "installing the packages of requirements/base.txt"
	$(UV_INSTALL) -r requirements/base.txt
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --build-constraints requirements/build.txt -e .
	touch $@

$(STAMPS)/dev: $(STAMPS)/base requirements/dev.txt
	@echo "installing the packages of requirements/dev.txt"
	$(UV_INSTALL) -r requirements/dev.txt
	touch $@

.PHONY: lock
lock: $(BIN)/uv ## write requirements/*.txt again
	@$(COMPILE) requirements/uv.in -o requirements/uv.txt
	$(COMPILE) requirements/build.in -o requirements/build.txt
	$(COMPILE) --no-deps requirements/model.in -o requirements/model.txt
	$(COMPILE) pyproject.toml $(addprefix --extra ,$(EXTRAS)) --group dev -o requirements/dev.txt
	$(COMPILE) pyproject.toml -c requirements/dev.txt -o requirements/base.txt
	$(COMPILE) pyproject.toml --extra llm -c requirements/dev.txt -o requirements/llm.txt
	! grep -nE '^aiops\b' requirements/*.txt || { echo "a lock names another project's aiops" >&2; exit 1; }
