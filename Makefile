# Everything runs on a machine that has only Python (3.11 or newer) and make.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip install --disable-pip-version-check
STAMP  := $(VENV)/.installed
TOOLS  := $(VENV)/.installed-tools
OGGM   := .venv-oggm

.PHONY: help setup demo test slow check docs format verify bench bench-device bench-oggm experiments clean

help:            ## list the targets
	@grep -E '^[a-z-]+: .*##' $(MAKEFILE_LIST) | sed -E 's/:.*##/\t/' | sort

setup: $(STAMP)  ## make a virtual environment with what running needs, versions pinned

# Not --quiet: what takes minutes shows that it moves.
$(STAMP): pyproject.toml requirements.txt
	@echo "Setting up $(VENV) (a few minutes the first time) ..."
	$(PYTHON) -c 'import sys; sys.exit("odinn needs Python 3.11 or newer; this is " + sys.version.split()[0] + ". Try: make PYTHON=python3.11") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)
	$(PIP) -r requirements.txt
	$(PIP) --no-deps -e .
	@touch $(STAMP)

$(TOOLS): $(STAMP) requirements-dev.txt
	@echo "Installing the tools of development into $(VENV) ..."
	$(PIP) -r requirements-dev.txt
	@touch $(TOOLS)

demo: $(STAMP)   ## two glaciers, fifty years, a learned law: pictures in demo/
	$(BIN)/odinn demo --output demo

test: $(TOOLS)   ## the test suite
	$(BIN)/python -m pytest -n 2 --dist loadfile --durations 10 -m "not slow" tests src/odinn

slow: $(TOOLS)   ## the long tests
	$(BIN)/python -m pytest -m slow tests

check: $(TOOLS) docs  ## format, lint, types, and the documentation
	$(BIN)/ruff format --check src tests tools benchmarks
	$(BIN)/ruff check src tests tools benchmarks
	$(BIN)/mypy

# Not --quiet: it hides warnings from --strict.
docs: $(TOOLS)   ## the documentation as a site in site/; what is wrong in it is an error
	$(BIN)/python tools/write_docs.py --check
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

format: $(TOOLS) ## rewrite the code in the house format
	$(BIN)/ruff format src tests tools benchmarks
	$(BIN)/ruff check --fix src tests tools benchmarks

verify: $(STAMP) ## exact solutions
	$(BIN)/odinn verify

bench: $(STAMP)  ## measure, and write benchmarks/results
	$(BIN)/python -m benchmarks.run
	$(BIN)/python -m benchmarks.scaling
	$(BIN)/python -m benchmarks.gradients
	$(BIN)/python -m benchmarks.batch
	$(BIN)/python -m benchmarks.stream
	$(BIN)/python -m benchmarks.planet
	-$(BIN)/python -m benchmarks.right_hand_side
	$(BIN)/python -m benchmarks.page

bench-device: $(STAMP) ## many glaciers side by side on a GPU (minutes there, hours on a processor)
	$(BIN)/python -m benchmarks.device

bench-oggm: $(STAMP) $(OGGM)/.installed ## measure against OGGM, in an environment of its own
	@if [ -e $(OGGM)/.installed ]; then \
	  ODINN_OGGM=$(OGGM) $(BIN)/python -m benchmarks.against_oggm && $(BIN)/python -m benchmarks.page; \
	else echo "OGGM could not be installed into $(OGGM) (pip says why above): skipped, nothing was measured"; fi

$(OGGM)/.installed: benchmarks/requirements-oggm.txt
	@rm -f $@
	-@$(PYTHON) -m venv $(OGGM) && $(OGGM)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -r $< && touch $@

experiments: $(STAMP)  ## inversions that have to work, long; writes docs/experiments.md
	$(BIN)/python -m benchmarks.experiments

clean:           ## remove the environment and the results
	rm -rf $(VENV) $(OGGM) demo results site
