# Nothing but make and Python 3.11 to 3.13 is needed; uv is used when it is there.
.DEFAULT_GOAL := help
.PHONY: help demo test check docs format clean

VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
JOBS ?= 2
# The workers of pytest-xdist share the cores, so each of them uses one thread.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS)
FITS := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python; do \
	if $$p -c '$(FITS)' 2>/dev/null; then echo $$p; break; fi; done)

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(INSTALLED) ## distil a detector on real photographs of freight wagons, about 10 minutes on 2 cores
	$(BIN)/limbeck demo

test: $(INSTALLED) ## all tests
	$(PYTEST)

check: $(INSTALLED) ## all that must hold before a merge: format, lint, types, imports, docs, wheel, tests
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(MAKE) docs
	.ci/check-wheel $(BIN)/python
	$(PYTEST)

docs: $(INSTALLED) ## the documentation as html in docs/_build; a warning is an error
	$(BIN)/sphinx-build --fail-on-warning --keep-going --quiet -E docs docs/_build/html

format: $(INSTALLED) ## put the code into its form
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

clean: ## remove all that was built, the virtual environment too
	rm -rf $(VENV) build dist docs/_build .mypy_cache .pytest_cache .ruff_cache .import_linter_cache

$(INSTALLED): pyproject.toml
	@if command -v uv >/dev/null; then \
		test -x $(BIN)/python || uv venv --python '>=3.11,<3.14' $(VENV); \
		uv pip install --python $(BIN)/python --editable '.[dev]'; \
	elif test -n '$(PYTHON)'; then \
		test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || \
			{ rm -rf $(VENV); echo "install uv, or your system's package python3-venv" >&2; exit 1; }; \
		$(BIN)/python -m pip install --disable-pip-version-check --quiet --editable '.[dev]'; \
	else \
		echo 'limbeck needs Python 3.11, 3.12 or 3.13, or uv: none of them was found' >&2; exit 1; \
	fi
	@touch $@
