# Everything runs in .venv, which `make setup` builds from requirements.lock.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
ARGS   ?=
WORKERS?= 2
LOGS   := logs

export KEDRO_DISABLE_TELEMETRY := 1
# kedro starts mlflow and jupyter by name
export PATH := $(abspath $(BIN)):$(PATH)

.PHONY: setup run daily train-optimized test coverage viz mlflow lint bench docs docs-serve notebooks lock clean

setup: $(READY)

$(READY): requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "gogooku_kedro needs Python 3.11 or newer; run: make PYTHON=python3.11")'
	@echo "downloads the packages of requirements.lock: about 3.0 GB on disk with the CPU build of torch, several GB more with the CUDA build; some minutes, once"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps -e .
	$(BIN)/kedro compile
	touch $@

run: setup            ## the whole flow on the sample market; make run ARGS="--env ohlcv --params ohlcv_path=FILE"
	$(BIN)/kedro run $(ARGS)

daily: setup          ## the desk's morning: make daily ARGS="--env jquants"; exit code 3 of kedro: no ranking, see the sentence
	$(BIN)/kedro daily $(ARGS)

# What is refused is refused before the run begins or in its first seconds, so that it is shown here. Until then the
# shell lets a process in the background ignore kill -INT.
train-optimized: setup  ## the production settings, in the background; kedro status shows how far they are
	@mkdir -p $(LOGS)
	@nohup $(BIN)/kedro run --env gat_production $(ARGS) > $(LOGS)/train-optimized.log 2>&1 < /dev/null & \
	pid=$$!; echo $$pid > $(LOGS)/train-optimized.pid; \
	starting=0; running=0; \
	while [ $$starting -lt 300 ] && [ $$running -lt 10 ]; do \
		sleep 1; kill -0 $$pid 2> /dev/null || break; \
		if grep -qs "run begins" $(LOGS)/train-optimized.log; then running=$$((running + 1)); \
		else starting=$$((starting + 1)); fi; \
	done; \
	if kill -0 $$pid 2> /dev/null; then \
		echo "process $$pid runs; log $(LOGS)/train-optimized.log; $(BIN)/kedro status; stop it with kill -INT $$pid"; \
	else \
		rm $(LOGS)/train-optimized.pid; cat $(LOGS)/train-optimized.log; wait $$pid; \
	fi

# A thread each: the operators of small models are too short to be shared out, and cores are taken by the workers.
TESTS  := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder

test: setup           ## all tests, in two processes; make test WORKERS=8
	$(TESTS) $(ARGS)

coverage: setup       ## all tests with branch coverage, which takes longer; fails below fail_under of pyproject.toml
	$(TESTS) --cov --cov-report=term $(ARGS)

lint: setup           ## style, types, import contracts, configuration
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/kedro validate-config

viz: setup            ## lineage in the browser
	$(BIN)/kedro viz run $(ARGS)

# One process that serves and none that waits for jobs: by default MLflow starts fifteen.
mlflow: export MLFLOW_WORKERS := 1
mlflow: export MLFLOW_SERVER_ENABLE_JOB_EXECUTION := false
mlflow: setup         ## compare runs in the browser
	@echo "runs and their results: http://127.0.0.1:5000/#/experiments/1/runs?viewStateShareKey=results&workflowType=machine_learning"
	$(BIN)/kedro mlflow ui $(ARGS)

bench: setup          ## speed and memory, as ratios against a reference in the same run
	$(BIN)/python -m benchmarks.run $(ARGS)

docs: setup           ## build the documentation into site/; open site/index.html
	$(BIN)/mkdocs build --strict $(ARGS)

docs-serve: setup     ## the documentation in the browser, built anew at every change
	$(BIN)/mkdocs serve $(ARGS)

notebooks: setup      ## open the notebooks
	$(BIN)/kedro jupyter lab $(ARGS)

lock: setup           ## write requirements.lock from what is installed now
	$(BIN)/pip freeze --exclude-editable | sed 's/+cpu//' > requirements.lock

clean:                ## remove what runs and tools wrote; the environment stays
	find data -type f ! -name .gitkeep -delete
	find data -mindepth 2 -type d -empty -delete
	rm -rf build site $(LOGS) htmlcov .coverage .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
