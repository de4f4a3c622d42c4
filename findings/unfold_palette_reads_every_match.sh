#!/usr/bin/env bash
# django-unfold 0.91.0 (PyPI) on Django 5.2.19 with SQLite; Python 3.10 or newer, no server.
#
# One would guess: the command palette (COMMAND = {"search_models": True}) shows 100 results a page, so it asks the
# database for about 100 rows, as the list of a model in Django's admin does with the same search_fields.
#
# What happens: the query has no LIMIT. Every row that matches is read, becomes an object with its title, and is compared
# with a Python list of the keys that came before (`if item.pk in pks`), so that the work grows with the square of the
# matches; then all of them are pickled into the cache for five minutes, for each person and each prefix that they paused
# at while they typed. A row that is created, renamed or deleted meanwhile is not there, has its old name, or leads
# nowhere.
#
# Why users care: one letter typed into the palette of a table with a million rows reads the million, for minutes in one
# process of the site, and puts what it found into Redis or memory. With a few hundred rows, as in the demo, nobody
# notices. Until it is mended, leave search_models off and give `search_callback` a function that slices its queries; it
# too is cached for five minutes.
#
# Exits with 0 while this is so, with 1 once it changed.
set -euo pipefail
here=$(mktemp -d "${TMPDIR:-/tmp}/palette.XXXXXX")
trap 'rm -rf "$here"' EXIT

echo "Fetching django-unfold 0.91.0 and Django 5.2.19 from PyPI ..."
python3 -m venv "$here/venv"
"$here/venv/bin/pip" install -q --disable-pip-version-check django-unfold==0.91.0 Django==5.2.19
cat >"$here/try.py" <<'PYTHON'
import pickle
import time

import django
from django.conf import settings

settings.configure(
    SECRET_KEY="palette",
    ROOT_URLCONF=__name__,
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    INSTALLED_APPS=[
        "unfold", "django.contrib.admin", "django.contrib.auth", "django.contrib.contenttypes",
        "django.contrib.sessions", "django.contrib.messages",
    ],
    TEMPLATES=[{
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {"context_processors": ["django.template.context_processors.request"]},
    }],
    UNFOLD={"COMMAND": {"search_models": True}},
)
django.setup()

from django.contrib import admin
from django.contrib.auth.models import Group, User
from django.core.cache import cache
from django.core.management import call_command
from django.db import connection
from django.test import RequestFactory
from django.test.utils import CaptureQueriesContext
from django.urls import path
from unfold.admin import ModelAdmin
from unfold.sites import UnfoldAdminSite

site = UnfoldAdminSite(name="admin")


class GroupAdmin(ModelAdmin):
    search_fields = ["name"]


site.register(Group, GroupAdmin)
urlpatterns = [path("admin/", site.urls)]
call_command("migrate", verbosity=0)
user = User.objects.create_superuser("ada")


def search(term):
    """Return the seconds, the statements over groups, and the bytes that are cached."""
    cache.clear()
    request = RequestFactory().get("/admin/search/", {"s": term, "extended": "1"})
    request.user = user
    began = time.perf_counter()
    with CaptureQueriesContext(connection) as queries:
        site.search(request)
    seconds = time.perf_counter() - began
    [kept] = [cache.get(key.split(":", 2)[2]) for key in cache._cache]
    statements = [query["sql"] for query in queries if "auth_group" in query["sql"]]
    return seconds, statements, len(kept), len(pickle.dumps(kept))


took = {}
for rows in (4_000, 16_000):
    Group.objects.all().delete()
    Group.objects.bulk_create(Group(name=f"group {number}") for number in range(rows))
    took[rows], statements, kept, size = search("group")
    limits = [" LIMIT " in statement for statement in statements]
    print(f"{rows:6} rows match: {took[rows]:5.2f} s, with a LIMIT: {any(limits)}, cached: {kept} results, {size:,} bytes")
    assert len(statements) == 1
    # The model itself is a result too: its name has the word.
    as_described = not any(limits) and kept >= rows

Group.objects.filter(name="group 7").update(name="renamed")
request = RequestFactory().get("/admin/search/", {"s": "group", "extended": "1"})
request.user = user
titles = {str(result.title) for result in site.search(request).context_data["results"].paginator.object_list}
print(f"after `group 7` was renamed, the palette still offers it: {'group 7' in titles}")
print(f"4 times the rows took {took[16_000] / took[4_000]:.1f} times as long")
raise SystemExit(0 if as_described and "group 7" in titles else 1)
PYTHON
if "$here/venv/bin/python" "$here/try.py"; then
    echo "As described: for a page of 100 results the palette reads, and keeps, every row that matches."
else
    echo "It has changed: see above." >&2
    exit 1
fi
