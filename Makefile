# `make help` lists the targets.
# Paths are relative, and scripts of .venv are run with its Python: make cannot handle paths with spaces,
# and the first line of a script can hold neither spaces nor a long path.

PYTHON := .venv/bin/python
MANAGE := $(PYTHON) manage.py
CHAOS := tests/chaos tests/ops/test_interleavings.py tests/ops/test_column_change_interleavings.py \
	tests/ops/test_change_set_interleavings.py \
	tests/ops/test_column_change_migrate.py tests/ops/test_column_removal.py tests/bench/test_dual_write.py \
	tests/cards/test_audit_equals_difference.py tests/cards/test_json_source.py \
	tests/cards/test_import_of_anything.py tests/cards/test_pack_of_anything.py tests/browser/test_accessibility.py

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: demo serve stop test lint bench chaos clean help up

help:
	@echo 'make demo    start a PostgreSQL with sample cards; preview, execute and verify a backfill'
	@echo 'make serve   run the site and a worker in the foreground'
	@echo 'make stop    stop the local PostgreSQL and Valkey; keep their data'
	@echo 'make test    run the whole test suite'
	@echo 'make lint    check formatting, lint and types'
	@echo 'make bench   run the benchmarks'
	@echo 'make chaos   run the long tests: kill servers at random, try many examples'
	@echo 'make clean   stop the local services; delete .venv and var, with the databases'

demo: up
	@echo; echo '== Load the presentation rules and the sample pack: 40 birds of Colombia, without rarity_v2'
	@$(MANAGE) load_rules --execute
	@$(MANAGE) load_pack cards/sample/colombia-birds.json --without-rarity-v2 --execute
	@echo; echo '== Preview the backfill of rarity_v2; this changes nothing'
	@$(MANAGE) backfill_rarity_v2
	@echo; echo '== Execute the backfill'
	@$(MANAGE) backfill_rarity_v2 --execute
	@echo; echo '== Verify it'
	@$(MANAGE) verify_rarity_v2
	@echo
	@echo 'What to type next:'
	@echo '  make serve'
	@echo '      run the site; it says how to create a login'
	@echo '  $(MANAGE) bulk_promote --from common --to rare'
	@echo '      preview a promotion; --execute runs it, and `runs revert` reverts it'
	@echo '  $(MANAGE) runs'
	@echo '      list the runs'
	@echo '  eval "$$($(MANAGE) localservices env)" && psql "$$DATABASE_URL"'
	@echo '      open the database'
	@echo '  make stop'
	@echo '      stop PostgreSQL and Valkey; keep their data'

serve: up
	@$(MANAGE) serve

# What the site and the commands need.
up: .venv/installed .env
	@echo '== Start PostgreSQL and Valkey'
	@$(MANAGE) localservices start
	@echo; echo '== Apply the migrations'
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

# Written last, so that an interrupted installation starts again.
.venv/installed: requirements.txt requirements-dev.txt
	@sh kyndo/make_venv.sh
	@touch $@

.env: | .venv/installed
	@$(PYTHON) -m kyndo.envfile
