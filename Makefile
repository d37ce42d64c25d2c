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
EXTRAS := forecast graph neo4j redis chat sign policy mcp otel dask
SERVING := neo4j redis chat sign otel
COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate

.PHONY: help
help: ## show the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 18

.PHONY: install dev llm sandbox
install: $(STAMPS)/base sandbox ## make .venv with everything but the language model
dev: $(STAMPS)/dev ## install, with the extras and tools that the tests need
llm: $(STAMPS)/llm ## install, with the language model (a source build of some minutes)
# Without it everything works but repairs, which `aiops doctor` then says.
sandbox: $(BIN)/uv ## fetch bubblewrap, unless it is on PATH: what repairs are confined with
	@$(BIN)/python tests/servers/parts.py bubblewrap $(if $(CI),,|| echo "no bubblewrap: repairs are only proposed" >&2)

$(BIN)/uv: requirements/uv.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "aiops needs Python 3.11 or newer; set PYTHON=")'
	[ -x $(BIN)/python ] || { echo "making .venv"; $(PYTHON) -m venv .venv; }
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

# Building llama.cpp takes minutes, and uv keeps the wheel in its cache. It builds anew when the index sends the same file
# with another date; so what is there is looked for offline first, and a second checkout only copies it.
BUILD_LLM = CMAKE_ARGS="-DLLAVA_BUILD=OFF" CMAKE_BUILD_PARALLEL_LEVEL=$$(nproc) \
	$(UV_INSTALL) --verbose -r requirements/llm.txt -r requirements/model.txt 2>&1 | tee .venv/llm.log \
	| awk '/^DEBUG \[[0-9]+\/[0-9]+\]/ { if (++n % 10 == 1) { print "  compiling " $$2; fflush() } } /^ \+ /'
$(STAMPS)/llm: $(STAMPS)/base requirements/llm.txt requirements/model.txt
	@command -v c++ >/dev/null || { echo "the language model is built from source and needs a C++ compiler" >&2; exit 1; }
	echo "installing the language model; unless it was built before, llama.cpp is compiled now: 3 to 7 minutes on 2 cores"
	{ export UV_OFFLINE=1; $(BUILD_LLM); } || { unset UV_OFFLINE; $(BUILD_LLM); } || { tail -n 30 .venv/llm.log >&2; exit 1; }
	touch $@

.PHONY: demo
demo: $(STAMPS)/base ## replay and explain a real incident; then ask for it in words
	@$(BIN)/aiops demo
	$(MAKE) --no-print-directory llm
	$(BIN)/aiops demo --ask $(DEMO_QUESTION)

DEMO_QUESTION := "why is the gateway service slow?"

# Under CI a part that can't be made ready is a failure; elsewhere its tests are skipped and say how to mend it.
SERVERS := bubblewrap virtual-machine prometheus victoria-metrics alertmanager redis faketime neo4j opensearch chromium fonts axe llama-vocabulary
.PHONY: servers
servers: $(BIN)/uv ## make the test servers ready, inside the checkout
	@$(BIN)/python tests/servers/parts.py $(SERVERS) $(if $(CI),,|| true)

.PHONY: test lint
test: lint llm servers ## everything that .ci/run runs
	@$(BIN)/python -m pytest $(PYTEST_ARGS)

lint: dev
	@$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

.PHONY: dashboards
dashboards: dev ## write the dashboards for Grafana again, after a change of deploy/grafana/dashboards.py
	@$(BIN)/python deploy/grafana/dashboards.py

INCIDENTS ?= ../shared/incidents
.PHONY: bench
bench: dev ## accuracy and speed on the recorded incidents in INCIDENTS, and the pages by Lighthouse
	@$(BIN)/aiops bench rca $(INCIDENTS)
	$(BIN)/python tests/servers/pages.py

SOAK ?= 50
.PHONY: soak
soak: llm servers ## the property tests with SOAK times as many examples: an hour or more
	@$(BIN)/python -m pytest --soak $(SOAK) $(PYTEST_ARGS)

.PHONY: clean
clean: ## remove all that was made here
	@rm -rf .venv .cache .servers .hypothesis .mypy_cache .pytest_cache .ruff_cache build dist
	find . -name __pycache__ -prune -exec rm -rf {} +

.PHONY: lock
lock: $(BIN)/uv ## write requirements/*.txt again
	@$(COMPILE) requirements/uv.in -o requirements/uv.txt
	$(COMPILE) --no-deps requirements/model.in -o requirements/model.txt
	$(COMPILE) pyproject.toml $(addprefix --extra ,$(EXTRAS)) --group dev -o requirements/dev.txt
	$(COMPILE) requirements/build.in -c requirements/dev.txt -o requirements/build.txt
	$(COMPILE) pyproject.toml -c requirements/dev.txt -o requirements/base.txt
	$(COMPILE) pyproject.toml --extra llm -c requirements/dev.txt -o requirements/llm.txt
	$(COMPILE) pyproject.toml $(addprefix --extra ,$(SERVING)) -c requirements/dev.txt -o requirements/image.txt
	! grep -nE '^aiops\b' requirements/*.txt || { echo "a lock names another project's aiops" >&2; exit 1; }
