#!/usr/bin/env bash
# Django 5.2.19 (PyPI), Python 3.10 or newer, SQLite; pytest and PostgreSQL make no difference.
#
# One would guess: docs/ref/signals says that post_migrate is sent "at the end of the migrate and flush commands", and
# lists the arguments sent with it, stdout, plan and apps among them; of apps it says to use it instead of the global registry.
# So a receiver that takes what is listed works with both commands.
#
# What happens: migrate sends all of them. flush sends none of these three, so that the same receiver ends in
# "TypeError: ... missing 3 required positional arguments: 'stdout', 'plan', and 'apps'", after the tables were emptied.
#
# Why users care: the test runner types flush after every TransactionTestCase. An app whose receiver is written by the
# documentation works in production for years, and then the tests of whoever installs it fail at each teardown, with an
# error that names neither their test nor their code. Give each a default: def receiver(*, plan=(), apps=None, **kwargs).
#
# Exits with 0 while this is so, with 1 once it changed.
set -euo pipefail
here=$(mktemp -d "${TMPDIR:-/tmp}/flush.XXXXXX")
trap 'rm -rf "$here"' EXIT

echo "Fetching Django 5.2.19 from PyPI ..."
python3 -m venv "$here/venv"
"$here/venv/bin/pip" install -q --disable-pip-version-check Django==5.2.19
mkdir "$here/shop"
cat >"$here/settings.py" <<'PYTHON'
SECRET_KEY = "shop"
INSTALLED_APPS = ["django.contrib.contenttypes", "shop.apps.ShopConfig"]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "shop.sqlite3"}}
PYTHON
touch "$here/shop/__init__.py" "$here/shop/models.py"
cat >"$here/shop/apps.py" <<'PYTHON'
from django.apps import AppConfig
from django.db.models.signals import post_migrate


def receiver(sender, app_config, verbosity, interactive, stdout, using, plan, apps, **kwargs):
    """Takes what the documentation lists."""
    print("post_migrate with", apps.__class__.__name__)


class ShopConfig(AppConfig):
    name = "shop"

    def ready(self):
        post_migrate.connect(receiver, sender=self)
PYTHON
cat >"$here/shop/tests.py" <<'PYTHON'
from django.test import TransactionTestCase


class Innocent(TransactionTestCase):
    def test_nothing(self):
        pass
PYTHON

run() { # the words of a command of that project, its status beside them
    (cd "$here" && DJANGO_SETTINGS_MODULE=settings PYTHONPATH=. venv/bin/python -m django "$@" 2>&1) || echo "status $?"
}
migrated=$(run migrate)
flushed=$(run flush --no-input)
tested=$(run test)
echo
echo "migrate:  $(grep -o 'post_migrate with .*' <<<"$migrated" || tail -1 <<<"$migrated")"
echo "flush:    $(grep TypeError <<<"$flushed" || tail -1 <<<"$flushed")"
echo "test:     $(grep TypeError <<<"$tested" || tail -1 <<<"$tested") $(grep -o 'FAILED (.*' <<<"$tested" || true)"
missing="missing 3 required positional arguments: 'stdout', 'plan', and 'apps'"
if grep -q 'post_migrate with' <<<"$migrated" && grep -q "$missing" <<<"$flushed" && grep -q "$missing" <<<"$tested"; then
    echo "As described: flush sends less than what is documented."
else
    echo "It has changed."
    exit 1
fi
