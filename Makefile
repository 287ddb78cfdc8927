# Two commands do all the set-up: `make serve` and `make test`. The rest is for developers.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip install --quiet --disable-pip-version-check
CORPUS ?= data/corpus
JOBS   ?= 2

.PHONY: serve test check bench results lint format clean

serve: $(VENV)/.serve  ## run the service with the shipped weights on CPU and SQLite
	$(BIN)/python -m service serve

test: $(VENV)/.dev  ## run the tests
	$(BIN)/python -m pytest

bench: $(VENV)/.dev  ## measure, into docs/benchmarks.md; wants a quiet machine and the network for the peers
	$(BIN)/python -m tests.benchmarks

results: $(VENV)/.dev  ## mix CORPUS, compare the seven systems by JOBS at a time, measure the shipped weights; takes hours
	$(BIN)/python -m model_export mixtures --corpus $(CORPUS) --split train --style hard --count 24000
	$(BIN)/python -m model_export mixtures --corpus $(CORPUS) --split train --style standard --count 6000
	$(BIN)/python -m model_export mixtures --corpus $(CORPUS) --split validation --style standard --count 1000
	$(BIN)/python -m model_export mixtures --corpus $(CORPUS) --split validation --style hard --count 1000
	$(BIN)/python -m model_export mixtures --corpus $(CORPUS) --split validation --style shifted --count 1000
	$(BIN)/python -m model_export mixtures --corpus $(CORPUS) --split test --style standard --count 1500
	$(BIN)/python -m model_export mixtures --corpus $(CORPUS) --split test --style hard --count 1000
	echo '{"threads": 1, "batch_size": 64}' > data/b64.json
	$(BIN)/python -m model_export compare systems --chunks 96000 --checkpoints 1 --seeds 2 --jobs $(JOBS) --config data/b64.json \
		--test data/test-standard --test data/test-hard
	$(BIN)/python -m model_export evaluate data/validation-standard data/validation-hard data/validation-shifted \
		data/test-standard data/test-hard --sources $(CORPUS)/sources.csv

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
	$(PIP) --editable '.[cpu,postgres,archive,otel,train,dev]'
	touch $@ $(VENV)/.serve
