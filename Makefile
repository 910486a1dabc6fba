# One line each; CI runs the same targets. PYTHON chooses the interpreter (3.10 or newer).
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin

.PHONY: install demo local test bridge-tools test-lowest test-recipes lint types bench bench-bridge bench-local bench-growth faults fuzz soak record screenshots docs clean

# pip below 25.1 knows no dependency groups, so the environment gets a newer one first.
$(VENV)/.installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --quiet --editable ".[local]" --group tests --group lint
	touch $@

install: $(VENV)/.installed

demo: install
	$(BIN)/python -m examples.demo

# What the demo has sent, and whatever else is sent to http://127.0.0.1:8010, in the browser.
local: install
	$(BIN)/otel-posthog local --database .local.db

# PYTEST_ARGS is for a part of them: make test PYTEST_ARGS=tests/delivery.
test: install
	$(BIN)/python -m pytest $(PYTEST_ARGS)

# What the tests of the bridge need beyond Python: a Collector, a Kafka broker, schemas, Node packages. They skip without.
bridge-tools: install
	$(BIN)/python -m pip install --quiet --group bridge-tools
	npm ci --no-audit --no-fund --loglevel=error --prefix tests/bridge/node

# The instrumentations want newer SDKs; the tests that need them skip themselves here.
$(VENV)-lowest/.installed: pyproject.toml tests/lowest.txt
	$(PYTHON) -m venv $(VENV)-lowest
	$(VENV)-lowest/bin/python -m pip install --quiet --upgrade "pip>=25.1"
	$(VENV)-lowest/bin/python -m pip install --quiet --editable ".[local]" --group tests-core --constraint tests/lowest.txt
	touch $@

test-lowest: $(VENV)-lowest/.installed
	$(VENV)-lowest/bin/python -m pytest

# The pages of docs/recipes with the libraries that they are about, about 1.5 GB of them.
RECIPES = recipes recipes-agents recipes-litellm
$(VENV)-recipes%/.installed: pyproject.toml
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/python -m pip install --quiet --upgrade "pip>=25.1"
	$(@D)/bin/python -m pip install --quiet --editable ".[local]" --group recipes$*
	touch $@

test-recipes: $(RECIPES:%=$(VENV)-%/.installed)
	for group in $(RECIPES); do \
		REQUIRE_RECIPES=$$group $(VENV)-$$group/bin/python -m pytest --numprocesses 2 tests/test_recipes.py || exit 1; \
	done

lint: install
	$(BIN)/ruff check && $(BIN)/ruff format --check

types: install
	$(BIN)/mypy

bench: install
	$(BIN)/python -m pip install --quiet --group bench
	$(BIN)/python -m benchmarks

# The local PostHog's page with few and many events, in many and in large traces.
bench-local: install
	$(BIN)/python -m benchmarks.local_page

bench-growth: install
	$(BIN)/python -m pip install --quiet --group bench
	$(BIN)/python -m benchmarks.growth

# The bridge, a Collector and Kafka against the exporter.
bench-bridge: install
	$(BIN)/python -m pip install --quiet --group bench --group bridge-tools
	$(BIN)/python -m benchmarks.bridge

# Every fault under every load at full size; writes the table in docs/delivery.md.
faults: install
	$(BIN)/python -m tests.faults

# Mutated spans through the processor: make fuzz SPANS=1000000 SEED=1.
fuzz: install
	$(BIN)/python -W ignore -m tests.faults.fuzz $(or $(SPANS),100000) $(or $(SEED),1)

# Twenty events a second to a flaky PostHog: make soak MINUTES=30.
soak: install
	$(BIN)/python -m pip install --quiet --group bench
	$(BIN)/python -W ignore -m tests.faults.soak $(or $(MINUTES),30)

# Records what a real library writes today: make record NAME=openinference-openai. Without a name it lists them.
record: install
	$(BIN)/python -W ignore -m tests.support.recorder $(NAME)

# The pictures in docs/images, taken by the browser tests.
screenshots: install
	SCREENSHOTS=docs/images REQUIRE_BROWSER=1 $(BIN)/python -m pytest tests/local/test_browser.py

docs: install
	$(BIN)/python -m docs.generate

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis dist
