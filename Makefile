# Everything starts from python3 (3.11 or newer) and make; `make help` lists the targets.
# Paths are relative, so that a clone may live in a folder whose name has spaces.

PYTHON ?= python3
LONG ?= 0
UV := uv==0.13.9
BIN := .venv/bin
READY := .venv/.ready

.DEFAULT_GOAL := help
.PHONY: help setup compile demo test test-fast lint format faults bench sbom audit clean
.NOTPARALLEL:

# A virtual environment of another project must not be written into, nor another Python be downloaded.
unexport VIRTUAL_ENV
# Every command would compile the project and its libraries anew: twice the start-up time.
unexport PYTHONDONTWRITEBYTECODE
export UV_PYTHON_DOWNLOADS := never

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-10s %s\n", $$1, $$2}' Makefile

setup: $(READY) ## build .venv with everything the project needs; again only when its requirements change
	@:

$(READY): pyproject.toml uv.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "setup: needs Python 3.11 or newer; '$(PYTHON)' is $$($(PYTHON) --version 2>&1 || true)" >&2; \
	  echo "  next: install it, or name it: make PYTHON=python3.12" >&2; exit 1; }
	@echo "setup: building .venv (the first time takes about a minute)"
	@$(BIN)/python -c '' 2>/dev/null || { rm -rf .venv; $(PYTHON) -m venv .venv; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check '$(UV)'
	@$(BIN)/python -m uv sync --frozen --inexact --quiet --python $(BIN)/python
	@touch $(READY)
	@echo "setup: done"

compile: $(READY) ## the modules that an event goes through, to C: a third less CPU an event; needs a C compiler
	@$(BIN)/python deploy/compile.py

demo: $(READY) ## journeys over real purchases, on a broker in memory, in under a minute
	@$(BIN)/python -m orchestrator demo

lint: $(READY) ## style, types and the direction of imports
	@echo "lint: ruff, mypy, import-linter"
	@$(BIN)/python -m ruff check --quiet .
	@$(BIN)/python -m ruff format --check --quiet . || { \
	  $(BIN)/python -m ruff format --check .; echo "  next: make format" >&2; exit 1; }
	@$(BIN)/python -m mypy --no-error-summary
	@report=$$($(BIN)/lint-imports --no-logo 2>&1) || { printf '%s\n' "$$report" >&2; exit 1; }

format: $(READY) ## write every file in the project's style
	@$(BIN)/python -m ruff check --quiet --fix-only .
	@$(BIN)/python -m ruff format --quiet .

test: lint ## lint, then the tests: the fast ones, then those on a real Kafka; LONG=1: the longest, too, as in CI
	@$(BIN)/python deploy/compile.py --optional
	@LONG_TESTS=$(LONG) $(BIN)/python -m pytest -n auto

test-fast: $(READY) ## only the tests that need no real Kafka
	@$(BIN)/python -m pytest -n auto -m "not kafka"

faults: $(READY) ## real workers and a real Kafka under random faults, about 10 minutes; see docs/reliability.md
	@$(BIN)/python -m tests.faults --rounds 40 --faults kill,stop,rebalance,failpoints,broker

bench: $(READY) ## CPU an event in the engine, events a second on a real Kafka
	@$(BIN)/python deploy/compile.py --optional
	@$(BIN)/python -m benchmarks

sbom: $(READY) ## build/sbom.json: every package that the image has, CycloneDX, from uv.lock
	@mkdir -p build
	@$(BIN)/python -m uv export --frozen --no-dev --extra otel --quiet --format cyclonedx1.5 --preview-features sbom-export --output-file build/sbom.json >/dev/null
	@echo "sbom: build/sbom.json"

# Where advisories come from, if not from api.osv.dev: a mirror that speaks OSV. And the exit status if it does not answer.
AUDIT_URL ?=
AUDIT_UNREACHED ?= 3

audit: $(READY) ## known weaknesses of what the image has, by uv.lock; asks api.osv.dev, or AUDIT_URL
	@$(BIN)/python -m uv audit --frozen --no-dev --preview-features audit $(if $(AUDIT_URL),--service-url '$(AUDIT_URL)') || { \
	  status=$$?; [ $$status -ne 1 ] || exit 1; \
	  echo "audit: NOTHING WAS AUDITED: no advisories could be had; the lines above say why" >&2; \
	  echo "  next: run it where $(or $(AUDIT_URL),https://api.osv.dev) answers, or name a mirror: make audit AUDIT_URL=https://..." >&2; \
	  exit $(AUDIT_UNREACHED); }

clean: ## remove .venv and everything that was built
	@find orchestrator -name '*.so' -delete
	@rm -rf .venv build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
