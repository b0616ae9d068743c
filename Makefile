# Every command of the project; `make` alone lists them.
SHELL := /bin/sh
# The newest Python that there is; make PYTHON=/path/to/python3.12 takes another.
PYTHON ?=
VENV := .venv
BIN := $(VENV)/bin
# Embedded servers listen on this machine only; a proxy must not stand between them, nor the machine's language matter.
export NO_PROXY := 127.0.0.1,localhost
export no_proxy := $(NO_PROXY)
export PYTHONUTF8 := 1
# What was compiled is kept, whatever the surroundings say: tests start many processes.
export PYTHONDONTWRITEBYTECODE :=
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help demo dev test test-fast lint format types layers size bench lock clean

help: ## List the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' Makefile

demo: $(VENV)/installed ## Make the environment and replay 48 months: publish, train, score, monitor, retrain
	$(BIN)/mlops-assets replay --from 1998-01 --to 2001-12

dev: $(VENV)/installed ## Open Dagster's user interface on the state in MLOPS_HOME (by default .mlops)
	$(BIN)/mlops-assets dev

test: $(VENV)/installed-dev ## Run all tests (on both cores)
	$(IN_MEMORY) $(BIN)/python -m pytest -n 2 --dist worksteal

test-fast: $(VENV)/installed-dev ## Run the tests that take a moment
	$(IN_MEMORY) $(BIN)/python -m pytest -n 2 --dist worksteal -m "not slow"

# Homes of tests are written much and gone soon: they lie in memory where that has 4 GB to spare.
IN_MEMORY = PYTEST_DEBUG_TEMPROOT=$$(df -Pm /dev/shm 2>/dev/null | awk 'NR == 2 && $$4 >= 4000 {print "/dev/shm"}')

lint: $(VENV)/installed-dev ## Check style, likely bugs, dead code and dependencies
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/vulture && $(BIN)/deptry mlops_assets

format: $(VENV)/installed-dev ## Mend what lint can mend
	$(BIN)/ruff check --fix . && $(BIN)/ruff format .

types: $(VENV)/installed-dev ## Check types, strictly
	$(BIN)/mypy

size: ## Count the lines of code by capability, and name what is too long
	@python3 .ci/size

layers: $(VENV)/installed-dev ## Check which package may import which
	$(BIN)/lint-imports

bench: $(VENV)/installed-dev ## Measure, a JSON line a figure; NAME="load chain" for some
	$(BIN)/python -m benchmarks $(NAME)

lock: ## Resolve the dependencies anew (needs uv)
	uv pip compile $(LOCK) pyproject.toml -o requirements.txt
	uv pip compile $(LOCK) -c requirements.txt --extra dev pyproject.toml -o requirements-dev.txt
	uv pip compile $(LOCK) -c requirements.txt --extra spark pyproject.toml -o requirements-spark.txt
LOCK := --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-strip-extras \
	--no-emit-index-url --no-emit-find-links --no-header --no-annotate

clean: ## Delete the environment and the state in .mlops
	rm -rf .venv .venv-* .mlops

$(VENV)/python: .ci/pythons
	@python="$(PYTHON)"; [ -n "$$python" ] || python="$$(.ci/pythons | sed -n '1s/^[^ ]* //p')"; [ -n "$$python" ] || exit 1; \
	"$$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || \
		{ echo "Found: $$("$$python" --version 2>&1). Expected: Python 3.11, 3.12 or 3.13. What to do: make PYTHON=/path/to/python3.13"; exit 1; }; \
	echo "$$("$$python" --version) from $$python"; "$$python" -m venv --clear $(VENV)
	@touch $@

$(VENV)/installed: $(VENV)/python requirements.txt pyproject.toml
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements.txt
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/installed-dev: $(VENV)/installed requirements-dev.txt
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements-dev.txt
	@touch $@
