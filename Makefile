# Everything happens in .venv, which the first command makes; every target installs first if needed.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

# tensorflow/models, which three benchmarks compare with: in an environment of its own, as its packages clash with ours.
REFERENCE := .venv-reference

.PHONY: install search test test-of test-long browser check bench reference bench-reference schema clean

install: $(INSTALLED)

$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed, this is " + sys.version.split()[0] + "; name another with make PYTHON=python3.12")'
	@echo "Installing into $(VENV): about 5 GB with PyTorch, a few minutes"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $(INSTALLED)

search: install
	$(BIN)/python -m nas.search experiment=quickstart
	$(BIN)/python -m nas.report run=runs/quickstart

test: install
	$(BIN)/python -m pytest -n 2 --dist worksteal

# What concerns one thing: make test-of NAME=local_search, or spinenet, detection, residual ...
test-of: install
	$(BIN)/python -m pytest -n 2 --dist worksteal -k "$(NAME)" --no-header -q

# A headless Chromium, in which tests open the report; without it they are skipped.
browser:
	command -v chromium-headless-shell chromium || (apt-get update && apt-get install -y --no-install-recommends chromium-headless-shell)

# What takes long: drivers, workers and nodes killed again and again, pages in a browser, longer trainings.
# Those that start Ray have the machine to themselves, as their clusters are watched by the clock; the others run two at a time.
test-long: install
	$(BIN)/python -m pytest -m "long and ray"
	$(BIN)/python -m pytest -m "long and not ray" -n 2 --dist worksteal

check: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m checks.readability
	$(BIN)/biome ci nas/reporting/assets

bench: install
	$(BIN)/python -m benchmarks.cluster
	$(BIN)/python -m benchmarks.journal
	$(BIN)/python -m benchmarks.report
	$(BIN)/python -m benchmarks.controllers
	$(BIN)/python -m benchmarks.controller_speed
	$(BIN)/python -m benchmarks.loader
	$(BIN)/python -m benchmarks.average_precision
	$(BIN)/python -m benchmarks.suppression
	$(BIN)/python -m benchmarks.training_throughput
	$(BIN)/python -m benchmarks.training_speed
	$(BIN)/python -m benchmarks.training

reference: $(REFERENCE)/.installed

$(REFERENCE)/.installed: benchmarks/reference-requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 13) and "TensorFlow 2.19 needs Python 3.11 or 3.12, this is " + sys.version.split()[0] + "; name another with make PYTHON=python3.12 reference")'
	@echo "Installing into $(REFERENCE): about 2 GB with TensorFlow, a few minutes"
	$(PYTHON) -m venv $(REFERENCE)
	$(REFERENCE)/bin/python -m pip install --disable-pip-version-check --quiet --requirement $<
	$(REFERENCE)/bin/python -m pip install --disable-pip-version-check --quiet --no-deps tf-keras==2.19.0 tf-models-official==2.19.1
	@touch $@

# TPU=FOLDER names a checkout of tensorflow/tpu, with whose layers and heads imported networks are compared too.
bench-reference: install reference
	$(BIN)/python -m benchmarks.reference_parity
	$(BIN)/python -m benchmarks.released_parity $(if $(TPU),--tpu '$(TPU)')
	$(BIN)/python -m benchmarks.backbone_speed

schema: install
	$(BIN)/python -c 'import json; from search_space.spec_file import json_schema; print(json.dumps(json_schema(), indent=1))' > docs/spec.schema.json

clean:
	rm -rf $(VENV) $(REFERENCE)
