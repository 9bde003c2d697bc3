# Needs git, make and Python 3.11 to 3.13. PYTHON=/path chooses one, VENV=.venv another place for the environment.
VENV ?= .venv
PYTHON ?=
ONCE ?=
ARGS ?=
BIN = $(VENV)/bin
export VENV PYTHON

.PHONY: help setup demo test slow check format bench interop chaos fuzz types lock clean

help: ## what can be done here
	@grep -E '^[a-z]+:.*##' Makefile | sed 's/:.*##/	/' | expand -t 12

setup: ## the environment in .venv, with .venv/bin/hushbell
	@tools/setup

demo: setup ## simulated phones ring each other; ONCE=1 stops after one complete run
	@$(BIN)/hushbell demo $(if $(ONCE),--once) $(ARGS)

test: setup ## the tests; ARGS='-k outbox' goes to pytest
	@$(BIN)/python -m pytest -n auto --dist loadfile $(ARGS)

slow: setup ## the tests that take too long for `make test`
	@$(BIN)/python -m pytest -n auto --dist loadfile -m slow $(ARGS)

check: setup ## format, lint, types, import floors, commit subjects
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports
	tools/subjects

format: setup ## put the code into shape
	@$(BIN)/ruff format
	@$(BIN)/ruff check --fix

bench: setup ## measure; every figure is a line "name value unit"
	@if [ ! -d bench ]; then echo "bench: nothing here"; exit 0; fi; \
	for file in bench/[a-z]*.py; do $(BIN)/python "$$file" $(ARGS) || exit 1; done

interop: setup ## beside other people's programs; needs Go
	@tools/tier interop $(ARGS)

chaos: setup ## kill and disturb
	@tools/tier chaos $(ARGS)

fuzz: setup ## hostile input
	@tools/tier fuzz $(ARGS)

types: setup ## check a user's program against the installed package, with mypy and Pyright
	@tools/tier types $(ARGS)

lock: setup ## pin the dependencies again after a change of pyproject.toml
	@tools/lock $(ARGS)

clean: ## remove what make made
	rm -rf .venv* .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache build dist
