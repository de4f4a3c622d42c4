#!/usr/bin/env bash
# Django 5.2.19 (PyPI), Python 3.10 or newer, SQLite; PostgreSQL makes no difference.
#
# One would guess: MigrationRecorder(connection), MigrationLoader(connection) and MigrationExecutor(connection) ask over
# the connection that they are given; it is the only argument, and the recorder's has_table() and ensure_schema() do.
#
# What happens: applied_migrations() and record_applied() ask by the connection's alias, with
# objects.using(connection.alias). A connection made by connection.copy() has the alias of its model, so that the recorder
# looks for its table in one database and reads the rows, and writes them, in another: no error, no warning.
#
# Why users care: a second connection is what a health check takes, to have a timeout of its own or to stay out of a failed
# transaction. Its questions about migrations go over the first one all the same: they wait without the timeout, they fail
# with "current transaction is aborted", they take two connections of a pool of one. Give the copy an alias of its own,
# connection.copy("probe"), and set connections["probe"] to it as long as it is used.
#
# Exits with 0 while this is so, with 1 once it changed.
set -euo pipefail
here=$(mktemp -d "${TMPDIR:-/tmp}/alias.XXXXXX")
trap 'rm -rf "$here"' EXIT

echo "Fetching Django 5.2.19 from PyPI ..."
python3 -m venv "$here/venv"
"$here/venv/bin/pip" install -q --disable-pip-version-check Django==5.2.19
cat >"$here/ask.py" <<'PYTHON'
from django.conf import settings

sqlite = "django.db.backends.sqlite3"
settings.configure(DATABASES={"default": {"ENGINE": sqlite, "NAME": "one.sqlite3"}}, INSTALLED_APPS=[])

import django

django.setup()

from django.db import connection
from django.db.migrations.recorder import MigrationRecorder

MigrationRecorder(connection).ensure_schema()
MigrationRecorder(connection).record_applied("shop", "0001_of_one")

other = connection.copy()
other.settings_dict["NAME"] = "two.sqlite3"
recorder = MigrationRecorder(other)
print("two.sqlite3 has the table:", recorder.has_table())
recorder.ensure_schema()
print("two.sqlite3 has the table:", recorder.has_table())
with other.cursor() as cursor:
    cursor.execute("INSERT INTO django_migrations (app, name, applied) VALUES ('shop', '0001_of_two', '2026-01-01')")
print("applied, told of two.sqlite3:", sorted(name for _, name in recorder.applied_migrations()))

named = connection.copy("probe")
named.settings_dict["NAME"] = "two.sqlite3"
django.db.connections["probe"] = named
print("applied, under an alias of its own:", sorted(name for _, name in MigrationRecorder(named).applied_migrations()))
PYTHON

told=$(cd "$here" && venv/bin/python ask.py)
echo "$told"
expected="two.sqlite3 has the table: False
two.sqlite3 has the table: True
applied, told of two.sqlite3: ['0001_of_one']
applied, under an alias of its own: ['0001_of_two']"
if [ "$told" = "$expected" ]; then
    echo "As before: of two.sqlite3 it told what one.sqlite3 holds."
else
    echo "This has changed." >&2
    exit 1
fi
