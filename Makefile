# Two commands do all the set-up: `make serve` and `make test`. The rest is for developers.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.PHONY: serve test check bench lint format clean

serve: $(VENV)/.serve  ## run the service with the shipped weights on CPU and SQLite
	$(BIN)/python -m service serve

test: $(VENV)/.dev  ## run the tests
	$(BIN)/python -m pytest

bench: $(VENV)/.dev  ## measure, into docs/benchmarks.md; wants a quiet machine and the network for the peers
	$(BIN)/python -m tests.benchmarks

check: lint  ## what CI runs before the tests: lint, types, architecture, spelling
	$(BIN)/mypy
	$(BIN)/mypy docker/healthcheck.py docker/checks docker/verify
	$(BIN)/mypy docker/verify-gpu
	$(BIN)/lint-imports
	$(BIN)/codespell

lint: $(VENV)/.dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check

format: $(VENV)/.dev
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.serve: pyproject.toml Makefile | $(VENV)/bin/python
	$(PIP) --editable '.[cpu]'
	touch $@

$(VENV)/.dev: pyproject.toml Makefile | $(VENV)/bin/python
	$(PIP) --editable '.[cpu,postgres,archive,train,dev]'
	touch $@ $(VENV)/.serve
