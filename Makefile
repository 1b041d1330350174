# Everything runs in .venv, which `make setup` builds from a hash-checked lock. The other
# targets do that by themselves.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/installed.txt
LOCK   := requirements/dev.txt
PIP    := $(BIN)/python -m pip install --quiet --disable-pip-version-check
UV     := $(BIN)/uv
PYTEST := $(BIN)/python -m pytest

# Tests start servers over and over. Compiling what each of them imports would take longer than
# all else: bytecode is made at once for what is installed, and kept for the rest.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help

.PHONY: help
help: ## Show the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{sub(/:.*/, "", $$1); printf "  make %-14s %s\n", $$1, $$2}'

.PHONY: setup
setup: $(STAMP) ## Set everything up

$(STAMP): $(LOCK) requirements/uv.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("Graphwire needs Python 3.11 or newer; try: make PYTHON=python3.12 $(MAKECMDGOALS)" if sys.version_info < (3, 11) else 0)'
	@echo "Setting up $(VENV) …"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(PIP) --require-hashes -r requirements/uv.txt
	@$(UV) pip sync --quiet --compile-bytecode --python $(BIN)/python --require-hashes $(LOCK)
	@$(PIP) --require-hashes -r requirements/uv.txt
	@$(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e .
	@cp $(LOCK) $(STAMP)

.PHONY: demo
demo: setup ## Show the how-to: run to a breakpoint, look, resume
	@$(BIN)/python -m examples.how_to

.PHONY: test
test: setup ## Run the test suite
	@$(PYTEST) -n 4 --max-worker-restart 2 --dist loadfile --no-loadscope-reorder

.PHONY: check
check: setup lint types imports contract test node bench-quick ## Everything that CI checks

.PHONY: lint
lint: setup ## Check style
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check

.PHONY: format
format: setup ## Apply style
	@$(BIN)/ruff check --fix
	@$(BIN)/ruff format
	@$(BIN)/buf format -w

.PHONY: types
types: setup ## Check types
	@$(BIN)/mypy

.PHONY: imports
imports: setup ## Check which package may import which
	@NO_COLOR=1 $(BIN)/lint-imports --no-cache

.PHONY: contract
contract: setup ## Check the protos: lint, format, breaking changes, generated code
	@$(BIN)/buf lint
	@$(BIN)/buf format --diff --exit-code
	@scripts/breaking.sh $(BIN)/buf
	@$(BIN)/python scripts/generate.py --check

.PHONY: generate
generate: setup ## Generate the Python code of the contract anew
	@$(BIN)/python scripts/generate.py

.PHONY: node
node: setup ## Type-check the TypeScript example and run it against a server
	@scripts/node_example.sh $(BIN)/python

.PHONY: lowest
lowest: setup ## Run tests on the oldest dependencies that are allowed
	@scripts/lowest.sh $(UV)

.PHONY: bench
bench: setup ## Measure speed, memory and storage, against the same graphs in process
	@$(BIN)/python -m benchmarks

.PHONY: bench-quick
bench-quick: setup ## Have each row of the benchmarks measure a little, to see that it works
	@$(BIN)/python -m benchmarks --quick

.PHONY: crash
crash: setup ## Kill servers at every commit and at random, and check what they did
	@$(BIN)/python -m tests.crash --kills 1000 $(CRASH)

.PHONY: soak
soak: setup ## Load real servers for ten minutes: all is checked, and nothing may grow
	@$(BIN)/python -m tests.soak $(SOAK)

.PHONY: fuzz
fuzz: setup ## Call every RPC with random and damaged messages for ten minutes
	@$(BIN)/python -m tests.fuzz $(FUZZ)

.PHONY: properties
properties: setup ## Play random calls, graphs and breakpoints, and compare with the models
	@GRAPHWIRE_TEST_EXAMPLES=1000 $(PYTEST) -o faulthandler_timeout=0 tests/machine tests/properties $(PROPERTIES)

.PHONY: lock
lock: setup ## Update the locked development environment
	@$(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-header --no-emit-index-url --all-extras --group dev pyproject.toml -o $(LOCK)
	@$(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-header --no-emit-index-url requirements/gen.in -o requirements/gen.txt
	@$(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-header --no-emit-index-url requirements/uv.in -o requirements/uv.txt

.PHONY: clean
clean: ## Remove what the other targets have made
	@rm -rf $(VENV) .venv-gen .venv-lowest build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
