# Every target sets itself up: a virtual environment in .venv, its packages pinned by version and hash.
# pip cannot check the hash of a folder, so the checkout is installed after its packages, without looking for any.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet --quiet
READY := $(VENV)/.ready
READY_DEV := $(VENV)/.ready-dev
JOBS ?= 2

.PHONY: help demo serve test test-slow check format bench-main bench-gateway bench-gateway-peers bench-soak bench-replicas bench-keys bench-privacy bench-experiments bench-delivery bench-routing bench-ensembles lock clean

help: ## Show what can be made
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 22

demo: $(READY) ## Run the whole way on a sample estate, and leave the server running
	@$(BIN)/bailiwick --home .bailiwick-demo demo $(DEMO_FLAGS)

test: $(READY_DEV) ## Run the test suite
	@$(BIN)/python -m pytest -n $(JOBS) --dist loadscope -m "not slow"

test-slow: $(READY_DEV) ## Run the long campaigns, and property tests with examples never tried before
	@$(BIN)/python -m pytest -m "slow or hypothesis" --hypothesis-profile=searching

check: $(READY_DEV) ## Lint, type-check, and hold the house to its floors
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

format: $(READY_DEV) ## Format the code
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

bench-main: $(READY_DEV) ## Measure extraction, graph, detection, training and gateway, each beside a peer
	@$(BIN)/python -m benchmarks.main

bench-privacy: $(READY_DEV) ## Measure accounting, releases, the ledger and private training
	@$(BIN)/python -m benchmarks.bench_privacy

bench-experiments: $(READY_DEV) ## Measure assignment, statistics and their error rates, and A/A experiments
	@$(BIN)/python -m benchmarks.bench_experiments

bench-gateway: $(READY_DEV) ## Measure the gateway's CPU time per request, proxied and streamed too
	@$(BIN)/python -m benchmarks.main gateway

bench-keys: $(READY_DEV) ## Measure what keys and limits add to a request, in process and in Redis; BENCH_FLAGS=--json prints JSON
	@$(BIN)/python -m benchmarks.bench_keys $(BENCH_FLAGS)

bench-gateway-peers: $(READY_DEV) ## Measure the gateway beside LiteLLM and TensorZero, each installed once into a folder of its own
	@$(BIN)/python -m benchmarks.bench_gateway_peers $(BENCH_FLAGS)

bench-soak: $(READY_DEV) ## Change a gateway every second for five minutes; BENCH_FLAGS="--requests 1000000" watches memory instead
	@$(BIN)/python -m benchmarks.bench_soak $(BENCH_FLAGS)

bench-replicas: $(READY_DEV) ## Measure how long three gateways need to serve a change
	@$(BIN)/python -m benchmarks.bench_replicas

bench-delivery: $(READY_DEV) ## Measure rollouts beside other ways of releasing; BENCH_FLAGS=--all adds live models and SIGKILLs
	@$(BIN)/python -m benchmarks.bench_delivery $(BENCH_FLAGS)

bench-ensembles: $(READY_DEV) ## Measure ensembles beside their best member: accuracy, cost, CPU per answer
	@$(BIN)/python -m benchmarks.bench_ensembles

bench-routing: $(READY_DEV) ## Measure learned routing: regret, off-policy estimates, two corpora, CPU per decision
	@$(BIN)/python -m benchmarks.bench_routing $(BENCH_FLAGS)

bench-%: $(READY_DEV) # one of them alone, such as bench-training
	@$(BIN)/python -m benchmarks.main $*

COMPILE = $(BIN)/uv pip compile pyproject.toml constraints.in --universal --python-version 3.11 --generate-hashes \
  --no-header --no-annotate --no-emit-index-url --no-emit-find-links --quiet --upgrade
lock: $(READY_DEV) ## Choose newer versions: rewrite the constraints files
	@$(PIP) install uv
	@$(COMPILE) --output-file constraints.txt
	@$(COMPILE) --constraint constraints.txt --all-extras --output-file constraints-dev.txt

clean: ## Remove the virtual environment and the demo's state
	rm -rf $(VENV) .bailiwick-demo

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed: make PYTHON=/path/to/python3.11"; exit 1; }
	@test -x $(BIN)/python || { echo "Setting up $(VENV), once: about a minute ..."; $(PYTHON) -m venv $(VENV); }
	@$(PIP) install --require-hashes --requirement constraints.txt
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

$(READY_DEV): $(READY) constraints-dev.txt
	@echo "Installing what the tests need ..."
	@$(PIP) install --require-hashes --requirement constraints-dev.txt
	@touch $@
