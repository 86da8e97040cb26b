# The whole project from plain Python: every target makes what it needs in .venv, by the versions in constraints.txt.
# make [demo|test|lint|bench|neo4j|install] [PYTHON=/path/to/python3.x] [PYTEST="tests/unit -k name"]

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

VENV := .venv
comma := ,
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
# Strict: only the packages of pyproject.toml can be imported, and type checkers see them. It links files one by one,
# so a file that is new needs the install once more: hence the list.
EDITABLE := --config-settings editable_mode=strict
# Two workers; tests of one file, or of one server, stay in one of them, and the long ones come first.
WORKERS ?= 2

.PHONY: help demo test lint bench neo4j install clean FORCE

help:
	@printf '%s\n' \
	  'make demo     on a real sample and a simulated drop: init, ingest, detect, the top clusters' \
	  'make test     the tests; those of Neo4j need Java 17 and Maven' \
	  'make lint     ruff, mypy --strict, the import contracts' \
	  'make bench    what it costs and how good it is, written to docs/results.md (BENCH="hop easy" for some)' \
	  'make neo4j    a local Neo4j server in the foreground, by Java and Maven' \
	  'make install  .venv with the command and the tools of a developer'

install: $(VENV)/.dev

demo: $(VENV)/.runtime
	@$(BIN)/ringwatch demo

test: $(VENV)/.dev
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadgroup --no-loadscope-reorder $(PYTEST)

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy -p ringwatch
	MYPYPATH=benchmarks $(BIN)/mypy --explicit-package-bases benchmarks tests
	$(BIN)/lint-imports

bench: $(VENV)/.bench
	$(BIN)/python benchmarks/run.py $(BENCH)

neo4j: $(VENV)/.dev
	@$(BIN)/python tests/neo4j_server.py

clean:
	rm -rf $(VENV) build ringwatch.egg-info bench-out demo-workspace

# -- the environment --------------------------------------------------------------------------------------------------

# The first of these that is new enough; PYTHON=… on the command line or in the environment overrides the search.
$(VENV)/.made:
	@fit='import ensurepip, sys, venv; raise SystemExit(sys.version_info < (3, 11))'; \
	if ! { [ -x $(BIN)/python ] && $(BIN)/python -c "$$fit" 2>/dev/null; }; then \
	  for candidate in $${PYTHON:-python3.13 python3.12 python3.11 python3}; do \
	    if "$$candidate" -c "$$fit" 2>/dev/null; then found=$$candidate; break; fi; \
	  done; \
	  if [ -z "$${found:-}" ]; then \
	    printf '%s\n' "ringwatch needs Python 3.11 or newer with its venv module; $${PYTHON:-python3} is $$("$${PYTHON:-python3}" --version 2>/dev/null || echo not there)." \
	      'Install one (on Debian: apt-get install python3 python3-venv), or name one: make PYTHON=/path/to/python3.12' >&2; exit 1; \
	  fi; \
	  rm -rf $(VENV); "$$found" -m venv $(VENV); \
	fi; \
	touch $@

# The list of what the packages hold: rewritten only when it differs, so that only a new or removed file reinstalls.
$(VENV)/.files: FORCE | $(VENV)/.made
	@rooms=$$(sed -n '/^\[tool.setuptools.package-dir\]/,/^$$/s/.* = "\(.*\)"/\1/p' pyproject.toml); \
	find $$rooms -type f ! -path '*/__pycache__/*' | LC_ALL=C sort >$@.new; \
	if cmp -s $@.new $@; then rm $@.new; else mv $@.new $@; fi

# Each install is a whole one: the tools bring the product, and once they are in, an update of it keeps them in step.
$(VENV)/.runtime: pyproject.toml constraints.txt $(VENV)/.files
	$(PIP) install --quiet -c constraints.txt -e '.[gnn$(if $(wildcard $(VENV)/.dev),$(comma)dev$(comma)web)]' $(EDITABLE)
	@touch $@ $(wildcard $(VENV)/.dev)

$(VENV)/.dev: pyproject.toml constraints.txt $(VENV)/.files
	$(PIP) install --quiet -c constraints.txt -e '.[dev,gnn,web]' $(EDITABLE)
	@touch $(VENV)/.runtime $@

$(VENV)/.bench: pyproject.toml constraints.txt | $(VENV)/.dev
	$(PIP) install --quiet -c constraints.txt -e '.[dev,bench,gnn,web]' $(EDITABLE)
	@touch $@

FORCE:
