.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: help setup demo up test test-unit chaos faults linearizability fuzz check format bench protos docs reference \
	lock schema replay clients compose-drill clean

help: ## This list
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(READY) ## Make .venv with everything in it

# Without --no-compile, half of the time would go into byte code of which little is ever run; Python makes it at first
# use.
$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Upline needs Python 3.11 or newer; say which with PYTHON=python3.x"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check --quiet --no-compile --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --disable-pip-version-check --quiet --no-deps --no-build-isolation -e .
	@touch $(READY)

demo: setup ## Start everything and do the main job on real purchases
	@$(BIN)/upline demo

up: setup ## Run PostgreSQL, NATS and the three services until Ctrl-C
	@$(BIN)/upline up

# How many processes run tests at once: one for each processor or as many as are asked for, at most MAX_WORKERS. Each
# has servers of its own and needs up to 2 GB of memory; with more of them the longest file would take as long as all.
WORKERS ?= auto
MAX_WORKERS := 4
# A file stays with one process, for its tests share servers, and files start in their order: those with stacks first.
# A process that ends, as it does when a test hangs, ends the run: the next one would try the same test again.
SPREAD = --numprocesses=$(WORKERS) --maxprocesses=$(MAX_WORKERS) --dist=loadfile --no-loadscope-reorder \
	--max-worker-restart=0

test: setup ## Run every test, against servers of the suite's own, in one process for each processor (or WORKERS=3)
	@$(BIN)/python -m pytest $(SPREAD)

test-unit: setup ## Run the tests that need no server, in a minute
	@$(BIN)/python -m pytest $(SPREAD) tests/unit

ROUNDS ?= 20
SEED ?= 1
chaos: setup ## Kill a process of a stack under load, ROUNDS times (20), as SEED says (1), and compare what was promised
	@$(BIN)/python -m tests.faults.chaos --rounds $(ROUNDS) --seed $(SEED)

SEEDS ?= 200
# `make faults SEED=17` plays that one, and without SEED those of SEEDS that were not clean yet.
ONE_SEED = $(if $(filter command environment,$(firstword $(origin SEED))),--seed $(SEED),--seeds $(SEEDS))
faults: setup ## Play SEEDS (200) rounds of all faults, going on where it ended (best as root, with libfaketime)
	@$(BIN)/python -m tests.faults.campaign $(ONE_SEED)

HISTORIES ?= .upline/histories
linearizability: setup ## Check calls recorded in ROUNDS (20) of faults for an order that explains them (needs Go)
	@command -v go >/dev/null || { echo "this needs Go 1.26 or later, which is not here"; exit 2; }
	@rm -rf $(HISTORIES)
	@$(BIN)/python -m tests.linearizability --rounds $(ROUNDS) --seed $(SEED) --out $(HISTORIES)
	@tests/linearizability/checker/check.sh $(HISTORIES)/*.jsonl

CALLS ?= 100000
fuzz: setup ## Make CALLS calls (100000) of every RPC, generated as SEED says (1), and look for defects
	@$(BIN)/python -m tests.fuzz --calls $(CALLS) --seed $(SEED)

check: setup ## Formatting, lint, types, import contracts, protos, migrations, SQL, prose, docs, generated files
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/buf lint
	$(BIN)/buf format --diff --exit-code
	$(BIN)/python tools/check_breaking.py
	$(BIN)/python tools/check_migrations.py
	$(BIN)/python tools/check_enumerations.py
	$(BIN)/python tools/check_prose.py
	$(BIN)/python tools/check_docs.py
	$(BIN)/python tools/generate_stubs.py --check
	$(BIN)/python tools/generate_schema.py --check
	$(BIN)/python tools/generate_api.py --check
	$(BIN)/python tools/generate_reference.py --check

format: setup ## Format code and protos
	$(BIN)/ruff check --fix-only --quiet .
	$(BIN)/ruff format .
	$(BIN)/buf format --write

bench: setup ## Measure, in under ten minutes; prints a JSON line a figure
	@$(BIN)/python -m bench

protos: setup ## Generate gen/python, the schema of program files and the API reference from protos/
	@$(BIN)/python tools/generate_stubs.py
	@$(BIN)/python tools/generate_schema.py
	@$(BIN)/python tools/generate_api.py

docs: setup ## Check every link of the docs, run every command and example that they show, list those that cannot be run
	$(BIN)/python tools/check_docs.py
	$(BIN)/python -m pytest tests/docs tests/unit/cli/test_docs.py tests/unit/cli/test_reference_docs.py
	@$(BIN)/python tools/check_docs.py --not-run

reference: setup ## Generate the parts of docs/reference that come from the code
	@$(BIN)/python tools/generate_reference.py

lock: setup ## Renew the locks of development and container (needs uv)
	uv pip compile pyproject.toml --extra embedded --extra dev --universal --generate-hashes --no-header --upgrade -q \
		-o requirements.lock
	uv pip compile pyproject.toml --extra backup --universal --generate-hashes --no-header --upgrade -q \
		-c requirements.lock -o deploy/requirements.lock

schema: setup ## Write docs/reference/schema.sql from a database that is migrated for it, and new migrations' digests
	@$(BIN)/python tools/check_migrations.py --write
	@$(BIN)/python tools/generate_schema_sql.py

replay: setup ## Replay the shipped purchases through a stack of its own
	@$(BIN)/upline replay

clients: setup ## Run the callers in Go, Java, Node and Python (needs Go, Maven, Node; or CLIENTS="node python")
	@clients/check.sh $(CLIENTS)

compose-drill: setup ## Replicas, kills, an upgrade, a restore with the compose stack (deletes its volumes)
	@$(BIN)/python -m tests.compose.drill scale kill upgrade restore

clean: ## Remove .venv, .upline and caches
	rm -rf $(VENV) .upline .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	rm -rf clients/*/bin clients/*/target clients/*/.venv clients/*/node_modules
	rm -rf clients/go/stubs clients/python/stubs clients/go-plain/stubs/*/
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
