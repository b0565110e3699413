# Everything happens in .venv, which the first command makes; every target installs first if needed.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

.PHONY: install search test check bench schema clean

install: $(INSTALLED)

$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed, this is " + sys.version.split()[0] + "; name another with make PYTHON=python3.12")'
	@echo "Installing into $(VENV): about 5 GB with PyTorch, a few minutes"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $(INSTALLED)

search: install
	$(BIN)/python -m nas.search experiment=quickstart

test: install
	$(BIN)/python -m pytest

check: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: install
	$(BIN)/python -m benchmarks.executor_rate
	$(BIN)/python -m benchmarks.proxy_agreement

schema: install
	$(BIN)/python -c 'import json; from search_space.spec_file import json_schema; print(json.dumps(json_schema(), indent=1))' > docs/spec.schema.json

clean:
	rm -rf $(VENV)
