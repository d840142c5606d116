# Everything runs from .venv, which is made from the lock file on first use.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/installed

.PHONY: demo test lint schema stack metrics bench bench-dispatch simulate chaos mutations kill backlog endurance xla-check lock clean

demo: $(INSTALLED)  ## Transcribe the shipped recordings through the whole path.
	$(BIN)/whisper-fleet local run tests/recordings --out transcripts --formats txt,json,srt,vtt --overwrite

# Two files at a time, each of which computes on one core.
test: lint .conformance-venv/installed .ops-venv/installed  ## Lint, type-check, check the arrows, run all tests.
	OMP_NUM_THREADS=1 $(BIN)/pytest --numprocesses 2 --dist loadfile

lint: $(INSTALLED)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

schema: $(INSTALLED)  ## Write the published JSON Schema of a request.
	$(BIN)/python -m daemon.schema

metrics: $(INSTALLED)  ## Write the reference page of all metrics.
	$(BIN)/python -m daemon.metrics.reference

stack: $(INSTALLED)  ## Make the stack's template of its parts.
	$(BIN)/python cloudformation/render.py

OUT ?= bench-results
REPETITIONS ?= 3
THREADS ?= 2 1

bench: $(INSTALLED) .bench-venv/installed  ## Measure the worker and its peers: takes about an hour, and the machine.
	.bench-venv/bin/python -m tests.bench --worker-python $(BIN)/python --out $(OUT) \
		--cache .bench-cache --repetitions $(REPETITIONS) --threads $(THREADS) \
		$(if $(ENGINES),--engines "$(ENGINES)") $(if $(SPEECH),--speech $(SPEECH))

bench-dispatch: $(INSTALLED)  ## Measure the daemon and a loop over boto3: takes some minutes, and the machine.
	$(BIN)/python -m tests.dispatch_bench --out $(OUT) --repetitions $(REPETITIONS)

REQUESTS ?= 100000
SEED ?= 1
SCENARIOS := $(sort $(basename $(notdir $(wildcard daemon/simulation/scenarios/*.toml))))

simulate: $(INSTALLED)  ## Compare policies on every shipped scenario; the archive dump has REQUESTS clips.
	for scenario in $(SCENARIOS); do \
		$(BIN)/whisper-fleet simulate --scenario $$scenario --seed $(SEED) \
			--out $(OUT)/simulation/$$scenario \
			$$([ $$scenario = archive-dump ] && echo --requests $(REQUESTS)) || exit 1; \
	done
	$(BIN)/python -m daemon.simulation.report \
		$(SCENARIOS:%=$(OUT)/simulation/%/result.json) > $(OUT)/simulation.md

SEEDS ?= 100
FIRST_SEED ?= 1

chaos: $(INSTALLED)  ## Play disasters by seed on virtual time, and check that every promise is kept.
	$(BIN)/python -m tests.simulation --seeds $(SEEDS) --first-seed $(FIRST_SEED)

mutations: $(INSTALLED)  ## Show that the seeds notice deliberate bugs.
	$(BIN)/python -m tests.simulation.mutations

kill: $(INSTALLED)  ## Kill the daemon 20 times, and a worker in mid-file: takes some minutes.
	$(BIN)/pytest -s -m long tests/integration/test_kill.py tests/integration/test_worker_kill.py

backlog: $(INSTALLED)  ## Put a million messages before the daemon, and see what memory it takes.
	$(BIN)/pytest -s -m long tests/integration/test_backlog.py

endurance: $(INSTALLED)  ## Transcribe one recording of ten hours, and see what memory it takes.
	$(BIN)/python -m tests.endurance

xla-check: .xla-venv/installed  ## Lower every graph through torch-xla, and run it on XLA's CPU.
	PJRT_DEVICE=CPU .xla-venv/bin/python -m tests.xla
	.xla-venv/bin/pytest -q tests/unit/neuron_worker/whisper

# Environments of their own: other versions of torch, and other engines.
.bench-venv/installed .xla-venv/installed: .%-venv/installed: tests/%/requirements.lock
	$(PYTHON) -m venv .$*-venv
	.$*-venv/bin/pip install --quiet "$$(grep '^torch==' $<)"
	.$*-venv/bin/pip install --quiet --no-deps --requirement $<
	touch $@

# ministack and checkov pin other versions of botocore than ours: environments of their own as well.
.conformance-venv/installed .ops-venv/installed: .%-venv/installed: tests/%/requirements.lock
	$(PYTHON) -m venv .$*-venv
	.$*-venv/bin/pip install --quiet --no-deps --requirement $<
	touch $@

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
	rm -rf $(VENV) .bench-venv .bench-cache .xla-venv .conformance-venv .ops-venv bench-results transcripts .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
