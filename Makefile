# KYNDO. `make demo` shows it, `make serve` runs it, `make test` proves it, `make help` lists the rest.
# Paths here are relative and scripts of .venv are never called by name: make cannot hold a path with a space,
# and the first line of such a script cannot hold one either, nor a long one.

PYTHON := .venv/bin/python
MANAGE := $(PYTHON) manage.py
CHAOS := tests/chaos tests/ops/test_interleavings.py tests/cards/test_audit_equals_difference.py \
	tests/cards/test_json_source.py tests/cards/test_import_of_anything.py tests/cards/test_pack_of_anything.py

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: demo serve stop test lint bench chaos clean help up

help:
	@echo 'make demo    a PostgreSQL with cards, and a backfill: previewed, executed, verified'
	@echo 'make serve   the site and a worker, in the foreground'
	@echo 'make stop    stop the local PostgreSQL and Valkey; their data stay'
	@echo 'make test    the whole test suite'
	@echo 'make lint    formatting, lint, types'
	@echo 'make bench   the benchmarks'
	@echo 'make chaos   the tests that kill servers at random and try many examples, for longer than make test'
	@echo 'make clean   stop the local services; delete .venv and var, databases included'

demo: up
	@echo; echo '== The presentation rules and the sample pack: 40 birds of Colombia, as the old backend left them'
	@$(MANAGE) load_rules --execute
	@$(MANAGE) load_pack cards/sample/colombia-birds.json --without-rarity-v2 --execute
	@echo; echo '== The backfill of rarity_v2: a preview, which changes nothing'
	@$(MANAGE) backfill_rarity_v2
	@echo; echo '== The backfill, executed'
	@$(MANAGE) backfill_rarity_v2 --execute
	@echo; echo '== Verified'
	@$(MANAGE) verify_rarity_v2
	@echo
	@echo 'What to type next:'
	@echo '  make serve'
	@echo '      the site; it tells how to make a login'
	@echo '  $(MANAGE) bulk_promote --from common --to rare'
	@echo '      a preview; with --execute it does it, and runs revert takes it back'
	@echo '  $(MANAGE) runs'
	@echo '      what ran here, and how it went'
	@echo '  eval "$$($(MANAGE) localservices env)" && psql "$$DATABASE_URL"'
	@echo '      the database, from the inside'
	@echo '  make stop'
	@echo '      stops PostgreSQL and Valkey; their data stay'

serve: up
	@$(MANAGE) serve

# Everything that the site and the commands stand on.
up: .venv/installed .env
	@echo '== PostgreSQL and Valkey'
	@$(MANAGE) localservices start
	@echo; echo '== Migrations'
	@$(MANAGE) migrate

stop: .venv/installed .env
	@$(MANAGE) localservices stop

test: .venv/installed
	$(PYTHON) -m pytest -n auto --dist worksteal
	$(PYTHON) -m pytest -n auto --dist worksteal --pg 16 -m engine

lint: .venv/installed .env
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m ruff check .
	$(PYTHON) -m mypy

bench: .venv/installed
	$(PYTHON) -m bench.engine $(ARGS)

chaos: .venv/installed
	$(PYTHON) -m pytest -n auto --dist worksteal --chaos --hypothesis-profile=chaos $(CHAOS)

clean:
	@if test -x $(PYTHON) && test -e .venv/installed && test -e .env; then $(MANAGE) localservices remove; fi
	rm -rf .venv var

# Written last, so that an installation killed half-way is begun again.
.venv/installed: requirements.txt requirements-dev.txt
	@sh kyndo/make_venv.sh
	@touch $@

.env: | .venv/installed
	@$(PYTHON) -m kyndo.envfile
