# The commands of this project; `make help` lists them.
#
# Needs make, git and Python 3.11 or 3.12 with its venv module. Everything is installed into
# .venv; another place by `make VENV=...`, another interpreter by `make PYTHON=...`.

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# where the real-* targets find the data
DATA ?=

# the first interpreter of a fitting version whose venv module works
PYTHON ?= $(shell for each in python3.12 python3.11 python3 python; do \
	if $$each -c 'import sys, venv, ensurepip; sys.exit(sys.version_info[:2] not in ((3, 11), (3, 12)))' \
		>/dev/null 2>&1; then echo $$each; break; fi; done)

.DEFAULT_GOAL := help
.PHONY: help install demo test check constraints clean \
	real-contest real-truth real-nuclei real-dictionary

help: ## list the targets
	@echo "make TARGET, where TARGET is one of"
	@grep -hE '^[a-z-]+:.*## ' Makefile | sed -E 's/^([a-z-]+):[^#]*## (.*)/\1\t\2/' \
		| while IFS="$$(printf '\t')" read -r name text; do printf '  %-16s %s\n' "$$name" "$$text"; done

install: $(STAMP) ## make .venv with the package, the demo's weights and the development tools

$(STAMP): pyproject.toml constraints.txt
	@if [ -z "$(PYTHON)" ]; then \
		echo "No Python 3.11 or 3.12 with its venv module found." >&2; \
		echo "On Debian or Ubuntu: apt-get install python3 python3-venv; elsewhere give one: make PYTHON=/path/to/python3.11" >&2; \
		exit 2; fi
	@echo "Installing into $(VENV) with $(PYTHON): some GB, a few minutes, once."
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e '.[demo,dev]'
	# mmcv and mmengine pull opencv-python, which needs the libraries of a desktop; the headless
	# build has the same files, so it must be written last
	$(BIN)/python -m pip uninstall -q -y opencv-python
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt \
		--force-reinstall --no-deps opencv-python-headless
	@touch $@

demo: install ## the whole way on embedded synthetic data, to a report: work_dirs/demo/report.html
	@echo "not there yet" >&2; exit 2

test: install ## run the tests on two cores
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n 2

check: install ## lint, formatting, types, import rules, spelling
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/codespell

real-contest: install ## DATA=folder: the contest's images: segment, convert, train, infer
	@echo "not there yet" >&2; exit 2

real-truth: install ## DATA=folder: inherited labels scored against per-cell truth
	@echo "not there yet" >&2; exit 2

real-nuclei: install ## DATA=folder: train on hand-drawn nuclei, score on held-out ones
	@echo "not there yet" >&2; exit 2

real-dictionary: install ## DATA=folder: a gallery of images with one label each
	@echo "not there yet" >&2; exit 2

constraints: install ## write constraints.txt anew from what .venv holds
	$(BIN)/python -m pip freeze --all --exclude-editable --exclude pip --exclude opencv-python > constraints.tmp
	{ sed '/^[^#]/,$$d' constraints.txt; grep -viE '^(nvidia-|cuda-|triton)' constraints.tmp; } > constraints.new
	rm constraints.tmp
	mv constraints.new constraints.txt
	@touch $(STAMP)

clean: ## remove .venv and caches; what is in work_dirs stays
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	find hpa_mmdet tests tools configs -name __pycache__ -type d -prune -exec rm -rf {} +
