# Every target sets itself up: it makes .venv when there is none and installs what it needs into it.
VENV ?= .venv
BIN = $(VENV)/bin
export ANKA_CI_VENV = $(VENV)

.PHONY: help demo test integration contract render lint types bench bench-fleet wheelhouse clean

help: ## what there is
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## / - /'

demo: ## the main job on the embedded Anka, no Mac needed: change, push, distribute, verify, undo
	@.ci/venv server
	@$(BIN)/anka-ci try

test: ## the test suite (under 3 minutes on 2 cores)
	@.ci/venv test
	@$(BIN)/pytest -n $$((2 * $$(getconf _NPROCESSORS_ONLN))) $(ARGS) # two per core: tests wait for processes and locks

integration: ## other programs against the real server: act, skopeo, strace, full disks (under 20 minutes; installs them as root)
	@.ci/venv test
	@.ci/tools
	@$(BIN)/pytest tests/integration $(ARGS)

contract: ## 10,000 generated requests to every operation of shared/openapi.json (under 5 minutes on 2 cores)
	@.ci/venv contract
	@$(BIN)/pytest -n 2 -rP tests/contract $(ARGS)

render: ## write the files that are rendered from the steps (ARGS=--check only compares)
	@.ci/venv server
	@$(BIN)/anka-ci render $(ARGS)

lint: WORKFLOWS = .github/workflows/*.yml $(wildcard tests/pipelines/*.workflow.yml)
lint: ACTIONS = action.yml actions/*/action.yml
lint: ## ruff, shellcheck, and for workflows and actions: their schemas, zizmor, actionlint
	@.ci/venv lint
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows $(WORKFLOWS)
	@$(BIN)/check-jsonschema --builtin-schema vendor.github-actions $(ACTIONS)
	@$(BIN)/zizmor --quiet --offline --no-progress --strict-collection --persona pedantic $(WORKFLOWS) $(ACTIONS)
	@$(BIN)/actionlint -shellcheck $(BIN)/shellcheck $(WORKFLOWS)
	@$(BIN)/shellcheck actions/run.sh jenkins/resources/anka-ci/run.sh .ci/venv .ci/tools .ci/run

types: ## mypy --strict
	@.ci/venv lint
	@$(BIN)/mypy

bench: ## push and pull one layer of 4 GiB: time and memory (ARGS="--size 512MiB" for a smaller one)
	@.ci/venv server
	@$(BIN)/python -I tests/bench/transfer.py $(ARGS)

bench-fleet: ## distribute to 10 to 10,000 virtual nodes: requests, time and memory (ARGS="--nodes 2000" for so many)
	@.ci/venv server
	@$(BIN)/python -I tests/bench/fleet.py $(ARGS)

wheelhouse: ## wheels of anka-ci and all it needs, for machines without a network
	@.ci/venv server
	@$(BIN)/python -m pip wheel --quiet --wheel-dir wheelhouse '.[all]' 'hatchling>=1.26'
	@ls wheelhouse

clean: ## remove what make made
	rm -rf $(VENV) wheelhouse .pytest_cache .mypy_cache .ruff_cache .hypothesis
