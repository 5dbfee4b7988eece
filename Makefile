.DEFAULT_GOAL := help
.PHONY: help demo test check conformance bench clean lock docs setup

PYTHON ?= python3.11
BIN := .venv/bin
STAMP := .venv/.installed

help: ## This list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP) ## Install what everything needs (Debian packages by apt, the rest in .venv)

$(STAMP): requirements/setup.lock requirements/dev.lock pyproject.toml packages.txt scripts/setup.sh
	@PYTHON=$(PYTHON) scripts/setup.sh

demo: $(STAMP) ## One agreement from queue to receipt, on the embedded default
	@scripts/demo.sh

check: $(STAMP) ## Lint, types, layer rules, unit tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python docs/generate.py --check
	$(BIN)/pytest -q -n 2 tests/unit

test: $(STAMP) ## All tests but conformance
	$(BIN)/pytest -q -n 2 --dist loadfile -m "not conformance"

conformance: $(STAMP) ## Hold the output to independent validators (fetched with Maven)
	@scripts/java.sh
	$(BIN)/pytest -q -m conformance tests/conformance

bench: $(STAMP) ## Measure
	$(BIN)/python benchmarks/stages.py

docs: $(STAMP) ## Generate the JSON Schemas
	$(BIN)/python docs/generate.py

lock: $(STAMP) ## Pin the newest allowed versions
	scripts/lock.sh

clean: ## Remove what was installed and made here
	rm -rf .venv var .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
