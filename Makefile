# Everything a newcomer types. `make demo` and `make test` do all set-up on a fresh Debian machine.

VENV := .venv
PY := $(VENV)/bin/python
STAMP := $(VENV)/.installed
# Processes that test at once: most of a test is waiting for other processes.
JOBS ?= 2
TEST_PACKAGES := softhsm2 opensc postgresql-15 gcc libc6-dev nginx libengine-pkcs11-openssl prometheus strace fonts-ipamj-mincho poppler-utils

.PHONY: help env system-packages demo test test-all lint proto proto-check bench format clean

help: ## show this list
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

system-packages: ## install what Debian must provide (softhsm2; PostgreSQL for the tests)
	@deploy/install-system-packages softhsm2 make

env: $(STAMP) ## make the Python environment with pinned, hashed dependencies

$(STAMP): deploy/requirements/dev.txt pyproject.toml
	@deploy/make-environment $(VENV)
	@touch $(STAMP)

demo: system-packages env ## the whole network as real processes: a birth, a move, a death, lookups
	$(PY) -m juki demo $(DEMO)

test: env ## all tests but the slow ones (under 15 minutes)
	@deploy/install-system-packages $(TEST_PACKAGES)
	@# A short path: a socket's may have 107 bytes.
	@there=$$(mktemp -d /tmp/jt-XXXXXX); \
	$(PY) -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder --basetemp=$$there -m "not slow" $(TESTS) \
	&& rm -rf $$there

test-all: env ## all tests, with hundreds of seeded kills
	@deploy/install-system-packages $(TEST_PACKAGES)
	$(PY) -m pytest $(TESTS)

lint: env ## ruff, mypy strict, buf lint, generated code fresh, contracts not broken
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	cd proto && ../$(VENV)/bin/buf lint && ../$(VENV)/bin/buf format --diff --exit-code
	deploy/check-contracts $(VENV)/bin/buf
	$(PY) -m juki.devtools.generate_protos --check

proto: env ## generate juki/v1 from proto/
	$(PY) -m juki.devtools.generate_protos

bench: env ## the figures: intake, lookup and custody, with their peers
	$(PY) -m juki bench intake
	$(PY) -m juki bench lookup
	@deploy/install-system-packages softhsm2 nginx libengine-pkcs11-openssl
	$(PY) -m juki bench custody

format: env ## format code and contracts
	$(VENV)/bin/ruff format .
	cd proto && ../$(VENV)/bin/buf format -w

clean: ## remove the environment and caches
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis
