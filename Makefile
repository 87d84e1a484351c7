# make demo   install, train on real data, save the model and its curves
# make test   install what the tests need and run them
# make lint   style checks
# make bench  install the other libraries, compare with them, write the tables and the picture of README and docs (ten minutes)
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SOURCES := $(wildcard setup.py pyproject.toml kernels/*.pyx kernels/compiled/*.pyx kernels/compiled/*.pxi kernels/compiled/*.h)

.PHONY: demo test slow lint bench clean

demo: $(VENV)/.all
	$(BIN)/vivace train digits --seeds 3 --out model.vivace --plot curves.png

test: $(VENV)/.test
	$(BIN)/pytest

slow: $(VENV)/.test
	$(BIN)/pytest -m slow

lint: $(VENV)/.test
	$(BIN)/ruff check .

bench: $(VENV)/.bench
	$(BIN)/python -m vivace.benchmarks.peers
	$(BIN)/python -m vivace.benchmarks.report

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -c "import sys; sys.exit(sys.version_info < (3, 11) and 'Vivace needs Python >= 3.11')"

$(VENV)/.all: $(BIN)/python $(SOURCES)
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[all]'
	touch $@

$(VENV)/.test: $(BIN)/python $(SOURCES)
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[test]'
	touch $@

$(VENV)/.bench: $(BIN)/python $(SOURCES)
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[bench]'
	touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info kernels/*.c kernels/*.so kernels/compiled/*.c kernels/compiled/*.so
