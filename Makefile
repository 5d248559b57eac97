# Every target makes .venv itself if it is not there. PYTHON chooses the interpreter, CHARPIPE_ARGS adds flags to `run`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
PURELIB := 'import sysconfig; print(sysconfig.get_path("purelib"))'

.PHONY: help run test test-e2e test-cluster coverage lint docs build bench ui clean

help:
	@echo "make run    learn from the Linux kernel's source and write some (CHARPIPE_ARGS='--budget 5m' ...)"
	@echo "make ui     look at the runs in MLflow and Prefect"
	@echo "make test   run the tests        make lint   check style, types and layers"
	@echo "make test-e2e      run those of whole command lines and of the servers that they start"
	@echo "make test-cluster  run those that start PostgreSQL, an S3 server or Ray"
	@echo "make docs   write the documentation as a site to build/site     make build  build the wheel and check it"
	@echo "make coverage  run the tests and show which lines they reach"
	@echo "make bench  measure speeds: of training, sampling, ingest and orchestration"
	@echo "make clean  remove .venv"

run: $(VENV)/ready
	$(BIN)/charpipe run train-and-sample --corpus linux_src $(CHARPIPE_ARGS)

ui: $(VENV)/ready
	$(BIN)/charpipe ui

test: $(VENV)/dev
	$(BIN)/python -m pytest -m "not e2e and not cluster" -n 3 $(PYTEST_ARGS) # some wait for locks and clocks

test-e2e: $(VENV)/dev
	$(BIN)/python -m pytest -m "e2e and not cluster" $(PYTEST_ARGS)

test-cluster: $(VENV)/dev
	$(BIN)/python -m pytest -m cluster -n 1 $(PYTEST_ARGS) # one server or cluster at a time

# All tests once more, and which lines they run: about twice as slow.
coverage: $(VENV)/dev
	@mkdir -p build/coverage
	$(BIN)/python -m pytest --cov --cov-report=term:skip-covered --cov-report=html:build/coverage/html $(PYTEST_ARGS)

lint: $(VENV)/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(VENV)/dev
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

# What a release publishes, built and checked, without publishing it. The wheel is run in an environment of its own that
# has the installed dependencies, but not the source tree.
build: $(VENV)/dev
	rm -rf dist build/wheel
	$(BIN)/python -m build --outdir dist .
	$(BIN)/twine check --strict dist/*
	$(BIN)/python -m venv build/wheel
	build/wheel/bin/python -m pip --disable-pip-version-check install --quiet --no-deps dist/*.whl
	$(BIN)/python -c $(PURELIB) > `build/wheel/bin/python -c $(PURELIB)`/dependencies.pth
	cd build/wheel && bin/charpipe --help >help.txt && bin/charpipe plugins list && bin/charpipe corpora list
	cd build/wheel && bin/charpipe run train-and-sample --corpus hello --dry-run

bench: $(VENV)/dev
	$(BIN)/python benchmarks/orchestration.py
	$(BIN)/python benchmarks/generation.py --arch lstm
	$(BIN)/python benchmarks/training.py --arch lstm gru rnn --shapes 2x512x100x100
ifdef ARCHIVE
	$(BIN)/python benchmarks/ingest.py $(ARCHIVE) --include '*.c' '*.h'
	$(BIN)/python benchmarks/encode.py $(ARCHIVE) --include '*.c' '*.h'
else
	@echo "ingest and encode: make bench ARCHIVE=linux-source-6.1.deb (or any archive)"
endif
ifdef TEXT
	$(BIN)/python benchmarks/defaults.py $(TEXT)
else
	@echo "the defaults: make bench TEXT=tiny_shakespeare.txt (or any text)"
endif

$(VENV)/ready: pyproject.toml constraints.txt
	@command -v $(PYTHON) >/dev/null || { echo "charpipe needs Python 3.11 or newer; install it (Debian, Ubuntu: apt install python3 python3-venv) or say: make PYTHON=/path/to/python3.12"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "charpipe needs Python 3.11 or newer, and $(PYTHON) is `$(PYTHON) -V`; say: make PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { echo "$(PYTHON) cannot make virtual environments; install its venv module (Debian, Ubuntu: apt install python3-venv)"; exit 1; }
	@echo "making $(VENV) and installing charpipe with the tested versions of what it needs (a minute or two)"
	@$(PYTHON) -m venv $(VENV)
	@$(PIP) install --quiet --constraint constraints.txt --editable .
	@touch $@

$(VENV)/dev: $(VENV)/ready
	@echo "installing what the tests and checks need"
	@$(PIP) install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $@

clean:
	rm -rf $(VENV)
