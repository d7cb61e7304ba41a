# `make run` starts the app, `make test` checks everything; both create .venv first if it is missing.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help setup run test browser lint docs bench pocket screenshots deploy-space clean

VENV   := .venv
PYTHON ?= $(shell for v in 3.11 3.12 3.13; do p=$$(command -v python$$v) && "$$p" -c pass 2>/dev/null && echo "$$p" && break; done)
PY     := $(VENV)/bin/python
CODE   := $(wildcard attribution_core pocket ui deploy tools app.py)
PINS   := constraints.txt

help:  ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1|/' | column -t -s '|'

$(PY):
	@test -n "$(PYTHON)" || { echo "Python 3.11, 3.12 or 3.13 was not found. Install one (Debian: apt-get install python3.11-venv), or name it: make setup PYTHON=/path/to/python3.11"; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || { echo "$(PYTHON) is neither Python 3.11, 3.12 nor 3.13; name another: make setup PYTHON=/path/to/python3.11"; exit 1; }
	"$(PYTHON)" -m venv $(VENV) || { rm -rf $(VENV); echo "venv failed; Debian has it in the package python3-venv"; exit 1; }

$(VENV)/.stamp-run: requirements.txt $(PINS) | $(PY)
	$(PY) -m pip install --quiet -r requirements.txt -c $(PINS)
	@touch $@

$(VENV)/.stamp-dev: requirements-dev.txt $(VENV)/.stamp-run
	$(PY) -m pip install --quiet -r requirements-dev.txt -c $(PINS)
	@touch $@

setup: $(VENV)/.stamp-run  ## create .venv and install what the app needs (several GB, mostly torch)

run: $(VENV)/.stamp-run  ## start the app on http://127.0.0.1:7860
	$(PY) app.py $(ARGS)

test: $(VENV)/.stamp-dev browser  ## run all tests offline, including those in a browser
ifdef ARGS
	$(PY) -m pytest $(ARGS)
else  # browsers, their apps and other tests would starve each other; two browsers mostly wait
	$(PY) -m pytest -n auto --dist loadfile --ignore=tests/browser
	$(PY) -m pytest -n 2 --dist loadfile tests/browser -raR --reruns 1  # what failed once, in a browser that was slow, is listed
endif

browser:
	@if ! command -v chromium >/dev/null; then \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    echo "installing Chromium for the browser tests"; \
	    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium fonts-liberation >/dev/null; \
	  else \
	    echo "The browser tests need a program called 'chromium' on the PATH and are skipped without it."; \
	    echo "Debian, Ubuntu: sudo apt-get install chromium fonts-liberation"; \
	  fi; \
	fi

lint: $(VENV)/.stamp-dev  ## requirements files, ruff (format too), mypy, and who may import whom
	$(PY) -m tools.requirements --check
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy $(CODE)
	$(VENV)/bin/lint-imports --no-logo

docs: $(VENV)/.stamp-dev  ## build docs/ into site/; a broken link is an error
	NO_MKDOCS_2_WARNING=1 $(PY) -m mkdocs build --strict --quiet

bench: $(VENV)/.stamp-run  ## measure speed against a peer; one JSON line per measurement
	$(PY) -m benchmarks.query $(ARGS)

pocket: $(VENV)/.stamp-dev  ## rebuild bundled files that are out of date (a day from scratch)
	$(PY) -m doit -f pocket/build.py -d . $(ARGS)

screenshots: $(VENV)/.stamp-dev browser  ## take the screenshots of the app again
	$(PY) -m tools.screenshots

deploy-space: $(VENV)/.stamp-run  ## upload the app to a Hugging Face Space: SPACE=user/name, ARGS=--dry-run
	@test -n "$(SPACE)" || { echo "Name the Space: make deploy-space SPACE=user/name"; exit 1; }
	$(PY) -m deploy.space $(SPACE) $(ARGS)

clean:  ## remove the environment and all caches
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis test-results site
