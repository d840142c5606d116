# Everything runs from .venv, which is made from the lock file on first use.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/installed

.PHONY: demo test lint schema lock clean

demo: $(INSTALLED)  ## Transcribe the shipped recordings through the whole path.
	$(BIN)/whisper-fleet local run tests/recordings --out transcripts --formats txt,json,srt,vtt --overwrite

test: lint  ## Lint, type-check, check the arrows, run all tests.
	$(BIN)/pytest

lint: $(INSTALLED)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

schema: $(INSTALLED)  ## Write the published JSON Schema of a request.
	$(BIN)/python -m daemon.schema

# torch goes first and by its exact version, so that what depends on it brings no other build.
$(INSTALLED): requirements.lock setup.cfg
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet "$$(grep '^torch==' requirements.lock)"
	$(BIN)/pip install --quiet --requirement requirements.lock
	$(BIN)/pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@

lock:  ## Resolve setup.cfg's ranges afresh and pin what came out.
	rm -rf $(VENV)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet "$$(grep '^torch==' requirements.lock)"
	$(BIN)/pip install --quiet --editable ".[test]"
	$(BIN)/pip freeze --all --exclude-editable | grep -v '^pip==' | sed 's/^\(torch==[0-9.]*\).*/\1/' > requirements.lock

clean:
	rm -rf $(VENV) transcripts .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
