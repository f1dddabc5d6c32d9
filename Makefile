# Everything happens in ./.venv, which is created from `python3` alone. Nothing outside this folder is changed.
#   make PYTHON=python3.12 test     another interpreter
#   make JOBS=4 test                more processes for the tests

SHELL  := /bin/bash
PYTHON ?= python3
# Twice the cores of a small machine: many tests wait, for a process that starts or a lock.
JOBS   ?= 4
BIN    := .venv/bin
STAMP  := .venv/.installed

NOTEBOOKS := $(sort $(wildcard notebooks/[0-9]*.ipynb))
# Chapters that train at length are compared at tiny parameters: tests/notebooks/test_training_notebook.py.
LIVE      := 04 05 06 10 12 16
COMPARED  := $(filter-out $(foreach n,$(LIVE),notebooks/$(n)-%),$(NOTEBOOKS))

# Two clean builds of one commit give the same site, byte for byte.
export SOURCE_DATE_EPOCH ?= $(shell git log -1 --format=%ct 2>/dev/null)
ifeq ($(strip $(SOURCE_DATE_EPOCH)),)
unexport SOURCE_DATE_EPOCH
endif
# Settings of the user's own Python and Jupyter stay out: without PYTHONDONTWRITEBYTECODE, which
# containers like to set, each of the processes of the tests would compile every file again.
unexport PYTHONPATH PYTHONHOME PYTHONDONTWRITEBYTECODE MPLBACKEND
export PYTHONNOUSERSITE := 1
export JUPYTER_PREFER_ENV_PATH := 1
export IPYTHONDIR := $(CURDIR)/.venv/ipython
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# Torch's threads wait for one another without burning the time of a core that others want: little
# lost on an idle machine, and on a busy one the difference between seconds and minutes.
export GOMP_SPINCOUNT ?= 1000

.DEFAULT_GOAL := help
.PHONY: help install book test site-test site-numbers metadata pdf release lint bench notebooks clean distclean

help: ## This list
	@echo "PSL companion. The first command makes .venv and installs requirements.lock (some minutes, once)."
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: $(STAMP) ## Make .venv; afterwards .venv/bin/psl is the command

$(STAMP): requirements.lock pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "make: '$(PYTHON)' is not there. Install Python 3.11, 3.12 or 3.13, or name one: make PYTHON=/path/to/python3.12"; exit 1; }
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(not ((3, 11, 5) <= v < (3, 14)))' || { echo "make: $$($(PYTHON) --version 2>&1) does not fit: 3.11.5 to 3.13 is needed. Name another: make PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { echo "make: $(PYTHON) cannot make virtual environments. On Debian and Ubuntu: apt install python3-venv"; exit 1; }
	$(PYTHON) -m venv .venv
	@echo "Installing requirements.lock into .venv: some minutes, once."
	$(BIN)/python -m pip install --quiet -r requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps -e .
	@touch $@

book: $(STAMP) ## Recompute and build the book: book/_build/html/index.html
	$(BIN)/jupyter-book build . --path-output book -W -n --keep-going
	@echo "The book: book/_build/html/index.html"

test: $(STAMP) ## Run every test, and check that the stored notebooks are what comes out
	$(BIN)/python -m pytest -n $(JOBS) --dist=loadfile --no-loadscope-reorder \
		--nbval-lax --nbval-current-env $(COMPARED) tests

site-test: $(STAMP) ## Look at the built book in a headless Chromium
	$(BIN)/python -m pytest tests/site

site-numbers: $(STAMP) ## Measure the built book as its readers meet it (SITE='--name 2-now' stores it)
	$(BIN)/python -m benchmarks.site $(SITE)

metadata: $(STAMP) ## Write codemeta.json, .zenodo.json, codecheck.yml and the RO-Crate again
	$(BIN)/psl publish metadata

pdf: ## The whole book as one PDF in dist/, printed by a headless Chromium (builds the book first)
	$(MAKE) book
	$(BIN)/psl publish pdf

release: ## One archive in dist/: book, PDF, records, schemas, wheel, sources, checksums
	$(MAKE) pdf
	$(BIN)/psl publish release

lint: $(STAMP) ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

notebooks: $(STAMP) ## Execute the notebooks again and store what comes out
	$(BIN)/python notebooks/execute.py $(NOTEBOOKS)

bench: $(STAMP) ## Speed and memory against a plain reference, as ratios (BENCH=--all: curves, epochs)
	$(BIN)/python -m benchmarks $(BENCH)

clean: ## Remove what was built; keeps .venv, data and records
	rm -rf book/_build build psl.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage htmlcov
	find psl companion tests notebooks benchmarks book -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true

distclean: clean ## Remove .venv too
	rm -rf .venv
