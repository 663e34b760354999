# The commands of the house. A bare machine needs Python 3.11 (to 3.13) and make; `make help` lists the targets.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= $(shell command -v python3.11 || command -v python3 || echo python3.11)
MLOPS_HOME ?= var
# Not taken from the environment: `make dev` writes there, and a foreign Dagster home is not ours to write to.
DAGSTER_HOME := $(abspath $(MLOPS_HOME))/dagster_home
PORT ?= 3000
MLFLOW_PORT ?= 5000
PYTEST := $(BIN)/pytest -n logical --maxprocesses=8
BENCHMARKS ?= --all
SBOM_TOOL := 7.5.0
AUDIT_TOOLS := bandit==1.9.4 semgrep==1.185.0
SHIPPED := mlops_assets resources sensors deploy
export DAGSTER_HOME

# Set-up is two steps. The stamp of each is named by the content that it depends on, so it is repeated when
# that content changes and not when a file is merely touched. cksum is on every POSIX system.
checksum = $(shell cat $(1) | cksum | tr ' ' '-')
LOCKED := $(VENV)/.locked-$(call checksum,requirements.lock)
INSTALLED := $(VENV)/.installed-$(call checksum,requirements.lock pyproject.toml VERSION)
PIP := $(BIN)/python -m pip install -qq --disable-pip-version-check --no-input
# Two makes at once: the second waits (where flock exists) and then finds the stamp.
guard = set -e; mkdir -p var; exec 9>var/.setup.lock; ! command -v flock >/dev/null || flock 9; test ! -e $@ || exit 0

.PHONY: help setup demo dev mlflow test test-all integration lint format types contracts ci bench lock spark test-engines sbom audit docs docs-serve deploy-render clean distclean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' Makefile

setup: $(INSTALLED) ## install everything into .venv (skipped when nothing changed)

$(LOCKED):
	@$(guard); \
	$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || \
	    { echo "set-up: Python 3.11 to 3.13 is needed, found $(PYTHON); name one: make PYTHON=python3.12 ..." >&2; exit 1; }; \
	echo "set-up: installing $$(grep -c '^[a-zA-Z0-9].*==' requirements.lock) locked packages into $(VENV) (a minute or two, 2 GB) ..."; \
	$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV); \
	rm -f $(VENV)/.locked-* $(VENV)/.installed-*; \
	: "The lock is complete: nothing to resolve. Wheels only: no compiler. Byte code afterwards, on all cores."; \
	$(PIP) --no-compile --require-hashes --no-deps --only-binary :all: -r requirements.lock; \
	$(BIN)/python -m compileall -qq -j 0 $(VENV)/lib || :; \
	touch $@

$(INSTALLED): | $(LOCKED)
	@$(guard); \
	rm -f $(VENV)/.installed-*; \
	$(PIP) --no-deps --no-build-isolation --editable .; \
	touch $@; \
	echo "set-up: done"

demo: setup $(DAGSTER_HOME)/dagster.yaml ## the whole story in some minutes: seven weeks of a simulated operator, from files to champions and back
	@$(BIN)/mlops demo

dev: setup $(DAGSTER_HOME)/dagster.yaml ## open Dagster on http://127.0.0.1:3000 (PORT=... for another port)
	@# The one warning left out says that another command, of a package that we do not need, supersedes this one.
	@PYTHONWARNINGS=ignore::FutureWarning:click.core exec $(BIN)/dagster dev --workspace workspace.yaml --host 127.0.0.1 --port $(PORT)

$(DAGSTER_HOME)/dagster.yaml: deploy/local/dagster.yaml
	@mkdir -p $(DAGSTER_HOME)
	@cp deploy/local/dagster.yaml $@

mlflow: setup ## open MLflow on http://127.0.0.1:5000 (MLFLOW_PORT=... for another port)
	@MLFLOW_DISABLE_TELEMETRY=true $(BIN)/mlflow ui --host 127.0.0.1 --port $(MLFLOW_PORT) \
	    --backend-store-uri sqlite:///$(abspath $(MLOPS_HOME))/mlflow/mlflow.db

test: setup ## every test that is fast enough to run before each commit
	@$(PYTEST) -m "not slow"

test-all: setup ## the slow tests as well
	@$(PYTEST)

# Debian's names; what is there already is left alone, and nobody but root installs anything.
SERVICES := postgresql openjdk-17-jre-headless chromium
integration: spark ## tests against real services: PostgreSQL, object store, SMTP, Spark, a browser; installs what Debian has of them
	@missing=; for package in $(SERVICES); do dpkg -s $$package >/dev/null 2>&1 || missing="$$missing $$package"; done; \
	if [ -n "$$missing" ] && [ "$$(id -u)" = 0 ]; then \
	    apt-get install -qq --yes --no-install-recommends $$missing >/dev/null; \
	elif [ -n "$$missing" ]; then echo "integration: skipped is what needs$$missing; install them, or run as root" >&2; fi
	@$(PYTEST) tests/integration tests/security

lint: setup ## style and formatting
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check --output-format concise .

format: setup ## repair what lint can repair
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

types: setup ## static types, strict for domain and config
	@$(BIN)/mypy

contracts: setup ## who may import whom
	@$(BIN)/lint-imports --no-logo

ci: ## what the build server runs
	@.ci/run

bench: setup ## run the benchmarks and record them in docs/benchmarks.md (BENCHMARKS="etl_ratio --quick" for some)
	@$(BIN)/python -m benchmarks run $(BENCHMARKS) --record

lock: setup ## renew both locks from pyproject.toml (UPGRADE=--upgrade for newer versions)
	@test -x $(BIN)/uv || $(PIP) uv
	@$(BIN)/uv pip compile --quiet $(UPGRADE) --universal --generate-hashes --python-version 3.11 --group dev \
	    --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" \
	    pyproject.toml --output-file requirements.lock
	@: "What the image installs: the same versions, without what only developers need."
	@$(BIN)/uv pip compile --quiet --universal --generate-hashes --python-version 3.11 --group image \
	    --constraints requirements.lock --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" \
	    pyproject.toml --output-file requirements-runtime.lock

# The notice left out is about a later program, by the makers of the theme.
MKDOCS := NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs
DOCS_PORT ?= 8080
docs: setup ## build the documentation site into build/site; a warning fails it
	@$(MKDOCS) build --strict --quiet
	@echo "docs: open build/site/index.html"

docs-serve: setup ## show the site on http://127.0.0.1:8080 while you write (DOCS_PORT=... for another port)
	@$(MKDOCS) serve --strict --dev-addr 127.0.0.1:$(DOCS_PORT)

deploy-render: setup ## write the manifests of Google Cloud from configs/environments and deploy/cloud_run
	@$(BIN)/mlops config render
	@$(BIN)/python -m deploy render

sbom: ## list what the lock installs as CycloneDX JSON, validated (build/sbom.json)
	@test -x var/sbom_tool/bin/cyclonedx-py || { $(PYTHON) -m venv var/sbom_tool && \
	    var/sbom_tool/bin/python -m pip install -qq --disable-pip-version-check --no-input "cyclonedx-bom[validation]==$(SBOM_TOOL)"; }
	@mkdir -p build
	@PYTHONWARNINGS=ignore var/sbom_tool/bin/cyclonedx-py requirements requirements.lock --pyproject pyproject.toml \
	    --spec-version 1.6 --output-format JSON --output-reproducible --validate --output-file build/sbom.json

audit: ## bandit and the house's rules for semgrep over what is shipped; offline once the tools are there
	@test -x var/audit_tools/bin/semgrep || { $(PYTHON) -m venv var/audit_tools && \
	    var/audit_tools/bin/python -m pip install -qq --disable-pip-version-check --no-input $(AUDIT_TOOLS); }
	@: "Left to ruff, which knows the lines that were looked at: SQL of constants, ports of containers, templates, Markup."
	@var/audit_tools/bin/bandit -q -r $(SHIPPED) -ll --skip B104,B608,B701,B704
	@PATH="$(CURDIR)/var/audit_tools/bin:$$PATH" semgrep scan --config tests/security/semgrep_rules.yaml --error --quiet \
	    --metrics=off --disable-version-check $(SHIPPED)
	@echo "audit: nothing found"

spark: setup ## install the second engine, Spark (490 MB; needs Java 17), see docs/engines.md
	@$(PIP) --require-hashes --no-deps --no-build-isolation -r requirements-spark.lock
	@command -v java >/dev/null || test -x "$$JAVA_HOME/bin/java" || echo "spark: Java 17 or later is missing"

test-engines: spark ## compare both engines: their contract, and the tables that they build
	@$(BIN)/pytest -q tests/integration/engines

clean: ## remove caches and build outputs
	@rm -rf build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache catboost_info
	@find . -path ./$(VENV) -prune -o -path ./var -prune -o -name __pycache__ -type d -exec rm -rf {} +

distclean: clean ## remove the environment and all local data as well
	@rm -rf $(VENV) var
