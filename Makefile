# Every target sets itself up first. `make` turns every failure into exit 2: gates call `.venv/bin/harness` themselves.
PYTHON ?= python3
.PHONY: setup verify verify-full test bars check clean

setup:
	@$(PYTHON) -m scripts.setup

verify: setup
	@.venv/bin/harness verify

verify-full: setup
	@.venv/bin/harness verify --full

test: setup
	@.venv/bin/python -m scripts.test

bars: setup
	@.venv/bin/python -m scripts.bars

check: setup
	@.venv/bin/python -m scripts.test --static

clean:
	rm -rf .venv build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
