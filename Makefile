# nasflow: two commands are all you need.
#   make demo   sets everything up and runs a real search, retraining, test and report on handwritten digits
#   make test   sets everything up and runs the tests
# Everything is safe to repeat. Needs python3 (3.11 or newer), make and a package index.

PYTHON ?= python3
EXTRAS ?=
BIN := .venv/bin
comma := ,

export DO_NOT_TRACK = 1
export DVC_NO_ANALYTICS = 1
export MLFLOW_DISABLE_TELEMETRY = true
export PREFECT_SERVER_ANALYTICS_ENABLED = false

.PHONY: help setup demo test test-all check ui clean

help:
	@sed -n '/^#/!q; s/^# \{0,1\}//p' Makefile
	@echo "  make setup  makes .venv with the versions of constraints.txt (EXTRAS=gpu, server or onnx for more)"
	@echo "  make test-all  the tests that take long too"
	@echo "  make check  format, lint, types and the walls between rooms"
	@echo "  make ui     the MLflow and Prefect pages, on this machine only"
	@echo "  make clean  removes .venv and caches; data, records and models stay"

setup: .venv/ready

.venv/ready: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info; v >= (3, 11) or sys.exit(f"nasflow needs Python 3.11 or newer; this is {v.major}.{v.minor}. Name another: make setup PYTHON=python3.12")'
	@echo "Setting up .venv with the versions of constraints.txt (a few minutes the first time) …"
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev$(if $(EXTRAS),$(comma)$(EXTRAS))]'
	@touch .venv/ready
	@echo "Ready. For the commands nas, dvc, mlflow and prefect: . .venv/bin/activate"

demo: setup
	@echo "Searching networks for handwritten digits: dvc repro report@digits-conv runs prepare → search → finalize → evaluate → report"
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/dvc repro report@digits-conv
	@$(BIN)/nas summary digits-conv

TESTS = PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m pytest --numprocesses auto --dist loadfile

test: setup check
	@$(TESTS) -m 'not long'

test-all: setup check
	@$(TESTS)

check: setup
	@$(BIN)/ruff format --check --quiet . && $(BIN)/ruff check --quiet .
	@$(BIN)/mypy -p nas -p flows
	@$(BIN)/lint-imports --no-logo 2>/dev/null || $(BIN)/lint-imports

ui: setup
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m flows.ui

clean:
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .import_linter_cache *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
