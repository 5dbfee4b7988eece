.DEFAULT_GOAL := help
.PHONY: help demo test check chaos conformance bench sbom container-proof clean lock docs setup

PYTHON ?= python3.11
BIN := .venv/bin
STAMP := .venv/.installed
TEST_STAMP := .venv/.installed-tests
NEEDS := requirements/setup.lock requirements/dev.lock pyproject.toml packages.txt scripts/setup.sh

help: ## This list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(TEST_STAMP) ## Install what everything needs (Debian packages by apt, the rest in .venv)

$(STAMP): $(NEEDS)
	@PYTHON=$(PYTHON) scripts/setup.sh

$(TEST_STAMP): $(NEEDS) packages-test.txt requirements/eark-validator.lock
	@PYTHON=$(PYTHON) scripts/setup.sh --tests

demo: $(STAMP) ## One agreement from queue to receipt, on the embedded default
	@scripts/demo.sh

check: $(STAMP) ## Lint, types, layer rules, unit tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python docs/generate.py --check
	$(BIN)/pytest -q -n 2 -m "not thorough" tests/unit

test: $(TEST_STAMP) ## All tests but conformance and chaos
	$(BIN)/pytest -q -n 2 --dist loadfile -m "not conformance and not chaos"

chaos: $(TEST_STAMP) ## The long fault test: SIGNERT_CHAOS_AGREEMENTS=100, SIGNERT_CHAOS_SEED=…; var/chaos.json
	$(BIN)/pytest -q -m chaos tests/e2e/test_chaos.py

conformance: $(TEST_STAMP) ## Hold the output to independent validators (fetched with Maven)
	@scripts/java.sh
	$(BIN)/pytest -q -m conformance tests/conformance

bench: $(TEST_STAMP) ## Measure beside the peers: PART=render|sign|whole|latency|memory|growth, or all; PART=profile
	@scripts/bench.sh
	$(BIN)/python -W ignore -m benchmarks $(PART)

sbom: $(STAMP) ## What others' software is in use here: CycloneDX, var/sbom/signert.cdx.json
	$(BIN)/python scripts/sbom.py --name signert --venv .venv --only-for packages.txt -o var/sbom/signert.cdx.json

container-proof: ## Build and try the images without a container engine (root; debootstrap); var/container-proof.json
	scripts/container_proof.py

docs: $(STAMP) ## Generate the JSON Schemas
	$(BIN)/python docs/generate.py

lock: $(STAMP) ## Pin the newest allowed versions
	scripts/lock.sh

clean: ## Remove what was installed and made here
	rm -rf .venv var .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
