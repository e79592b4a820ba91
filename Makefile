# Everything that a fresh machine needs is made here: `make serve` and `make test` start from Python, pip and make alone.
PYTHON ?= python3
PORT ?= 8000
VENV := .venv
BIN := $(VENV)/bin
ALONE := $(addprefix tests/,$(addprefix benchmarks/test_,service_alone.py serving.py speech_times.py) \
	rwae_core/media/test_media_timing.py $(addprefix service/test_,load.py spinning.py))

.PHONY: serve test check format audit lock train bench docs clean

serve: $(VENV)/serve.done ## Serve the models of weights/ on PORT
	RWAE_PORT=$(PORT) $(BIN)/python -m service

test: $(VENV)/dev.done ## Run the tests, or those that ARGS names: make test ARGS="-m slow tests/service"
ifdef ARGS
	$(BIN)/python -m pytest $(ARGS)
else # first all that can run side by side, then what measures time
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --maxprocesses 8 --dist loadfile $(ALONE:%=--ignore %)
	$(BIN)/python -m pytest $(ALONE)
endif

check: $(VENV)/dev.done ## Format, lint and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: $(VENV)/dev.done ## Write what check asks for, as far as it can be written
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

audit: $(VENV)/dev.done ## Look the installed packages up among the known vulnerabilities
	$(BIN)/pip-audit --local --skip-editable --vulnerability-service osv --progress-spinner off

lock: $(VENV)/dev.done ## Look up anew which versions the container image has
	$(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --constraint constraints.txt --no-annotate \
		--no-header --extra serve --extra otel --extra cluster --output-file deploy/requirements.lock pyproject.toml

train: $(VENV)/dev.done ## Train on moving shapes, or: make train PRESET=sprites DATA=../shared/data/sprites
	$(BIN)/python -m training.train $(if $(PRESET),--preset $(PRESET)) $(if $(DATA),--data $(DATA))

bench: $(VENV)/dev.done ## Measure what this machine can: benchmarks/README.md says what
	$(BIN)/python -m benchmarks

docs: $(VENV)/docs.done ## Build the documentation into build/docs
	$(BIN)/sphinx-build --fail-on-warning --keep-going --quiet -b html docs build/docs

clean: ## Remove the environment and caches
	rm -rf $(VENV) build .pytest_cache .ruff_cache .mypy_cache

$(VENV)/%.done: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[$*]'
	touch $@
