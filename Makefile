# The front door: `make help`. CI calls these same targets and nothing else.
# Nothing has to be installed by hand but Python 3.11 or later: every target makes what it needs.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help run up down status logs demo test check lint unit bench faults openapi clean

UV_VERSION := 0.13.9
BOOTSTRAP := .local/bootstrap
VENV := .venv
READY := $(VENV)/recado.stamp
PYTHON := $(VENV)/bin/python
DEVSTACK := $(PYTHON) -m services.devstack
PYTEST := $(PYTHON) -m pytest
NO_NETWORK := --disable-socket --allow-unix-socket

# SEED=3 becomes --seed 3, and nothing when it is not given
flag = $(if $($(1)),--$(2) $($(1)))

##@ The stack

help: ## This list
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: $(READY) ## Set-up, stack, rooms, demonstration, ledger; stays until Ctrl-C
	@$(DEVSTACK) run

up: $(READY) ## The same in the background, without the demonstration
	@$(DEVSTACK) up

down: $(READY) ## Stop everything
	@$(DEVSTACK) down

status: $(READY) ## Rooms, pids, health, lag, spool, waiting, dead letters
	@$(DEVSTACK) status

logs: $(READY) ## Follow a log: make logs ROOM=sender
	@$(DEVSTACK) logs $(ROOM)

demo: $(READY) ## Only the demonstration, on a stack that is up [SEED=n] [MESSAGES=n]
	@$(PYTHON) -m services.devstack.demo $(call flag,SEED,seed) $(call flag,MESSAGES,messages)

##@ Tests

test: check ## All set-up and every test that belongs in CI
	@$(PYTEST) tests/contract tests/integration tests/e2e

check: lint unit ## Seconds: lint, types, import contracts, unit tests

lint: $(READY) ## Ruff, format, mypy, import contracts
	@$(VENV)/bin/ruff check
	@$(VENV)/bin/ruff format --check
	@$(VENV)/bin/mypy
	@$(VENV)/bin/lint-imports

unit: $(READY) ## Unit and architecture tests, without any network
	@$(PYTEST) tests/unit tests/architecture $(NO_NETWORK)

bench: $(READY) ## Benchmarks, as ratios; writes .local/bench.json [ONLY=…]
	@$(PYTHON) -m tests.bench $(call flag,ONLY,only)

faults: $(READY) ## The fault bench [ONLY=F1] [SEED=n] [SCALE=1.0]
	@$(PYTHON) -m tests.faults $(call flag,ONLY,only) $(call flag,SEED,seed) $(call flag,SCALE,scale)

##@ Housekeeping

openapi: $(READY) ## Write schemas/openapi.json anew from the code
	@$(PYTHON) -m services.ingress.openapi > schemas/openapi.json

clean: ## Stop everything, remove .local/ and build outputs (.venv stays)
	@if [ -e $(READY) ]; then $(DEVSTACK) clean; fi
	@rm -rf .local .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	@find services tests -name __pycache__ -type d -prune -exec rm -rf {} +

# --- set-up: uv from the PATH or in a small venv of our own, then the locked environment ---

$(READY): uv.lock pyproject.toml
	@uv=$$(command -v uv || echo $(BOOTSTRAP)/bin/uv); \
	if ! [ -x "$$uv" ]; then \
	  command -v python3 >/dev/null || { echo "python3 is missing: install Python 3.11 or later"; exit 1; }; \
	  echo "setup        uv is not on the PATH: putting uv $(UV_VERSION) into $(BOOTSTRAP)"; \
	  rm -rf $(BOOTSTRAP); \
	  if ! python3 -m venv $(BOOTSTRAP) >/dev/null; then \
	    if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	      echo "setup        installing Debian's package python3-venv"; \
	      { apt-get install -y --no-install-recommends python3-venv || { apt-get update -q && apt-get install -y --no-install-recommends python3-venv; }; } >/dev/null || exit 1; \
	      rm -rf $(BOOTSTRAP); python3 -m venv $(BOOTSTRAP) || exit 1; \
	    else \
	      echo "python3 -m venv does not work here. Type: sudo apt-get install python3-venv"; exit 1; \
	    fi; \
	  fi; \
	  $(BOOTSTRAP)/bin/python -m pip install --quiet uv==$(UV_VERSION) || { echo "pip could not install uv $(UV_VERSION): is a package index reachable?"; exit 1; }; \
	fi; \
	echo "setup        Python environment: uv sync --frozen"; \
	"$$uv" sync --frozen --no-progress --quiet || exit 1
	@touch $@
	@echo "setup        ready in $(VENV)"
