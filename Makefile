# Everything starts from a fresh clone with Python 3.12, git and make; nothing else is needed.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help setup demo dev test test-long check bench lock clean

PYTHON ?= $(shell command -v python3.12 || command -v python3)
UV := $(shell command -v uv || echo .uv/bin/uv)
BIN := .venv/bin

help:  ## List the commands.
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

.uv/bin/uv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 12))' \
		|| { echo "Python 3.12 is needed; $(PYTHON) is $$($(PYTHON) --version). Try: make PYTHON=/path/to/python3.12"; exit 1; }
	@$(PYTHON) -m venv .uv
	@.uv/bin/python -m pip install --quiet --disable-pip-version-check 'uv>=0.9'

# The stamp is newer than the lock when what is installed is what is locked.
.venv/.installed: requirements.lock pyproject.toml $(filter .uv/bin/uv,$(UV))
	@echo "Installing the locked dependencies into .venv (once) …"
	@test -x $(BIN)/python || $(UV) venv --quiet --python "$$($(PYTHON) -c 'import sys; print(sys.executable)')" .venv
	@$(UV) pip sync --quiet --python $(BIN)/python --require-hashes --compile-bytecode requirements.lock
	@$(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@$(BIN)/python -m compileall -q trading_assets
	@touch $@

setup: .venv/.installed  ## Install everything into .venv, byte-compiled.

demo: setup  ## Backfill a year on embedded defaults and show what came of it.
	@$(BIN)/trading-assets demo

dev: setup  ## Dagster's web server with the charts, and the daemon, on one home.
	@exec $(BIN)/trading-assets dev

test: setup  ## The tests: under ten minutes on two cores.
	@$(BIN)/python -m pytest -n 2 --dist worksteal

test-long: setup  ## The same tests with the long profiles of the property and crash suites.
	@TRADING_TEST_PROFILE=long $(BIN)/python -m pytest -n 2 --dist worksteal

check: setup  ## Lint, types and the direction of imports.
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/pyright
	@$(BIN)/lint-imports

bench: setup  ## What we measure, as ratios in one run.
	@$(BIN)/python -m benchmarks

lock: $(filter .uv/bin/uv,$(UV))  ## Resolve the dependencies anew.
	@$(UV) pip compile --quiet --python-version 3.12 --universal --generate-hashes --all-extras --no-header --no-emit-index-url --upgrade pyproject.toml -o requirements.lock

clean:  ## Remove what was installed; the history in .trading stays.
	@rm -rf .venv .uv
