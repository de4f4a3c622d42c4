"""The admin's front page names the site, and lists what belongs to it."""

import re
from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver


def views(resolver: URLResolver) -> Iterator[Any]:
    for pattern in resolver.url_patterns:
        if isinstance(pattern, URLPattern):
            yield pattern.callback
        else:
            yield from views(pattern)


def test_the_admin_is_named_after_the_site(admin_client: Client) -> None:
    page = admin_client.get("/admin/").content.decode()
    assert re.search(r"<title>\s*Dashboard \| KYNDO\s*</title>", page)
    assert "Django administration" not in page
    assert "Django site admin" not in page


def test_the_admin_does_not_list_the_queues_of_the_worker(admin_client: Client) -> None:
    page = admin_client.get("/admin/").content.decode()
    assert "django_rq" not in page
    assert "Django-RQ" not in page


def test_the_dashboards_of_django_rq_have_no_url() -> None:
    # There any staff user can empty a queue.
    modules = {view.__module__ for view in views(get_resolver())}
    assert "ops.http.views" in modules
    assert not [module for module in modules if module.startswith("django_rq")]
    assert settings.RQ_SHOW_ADMIN_LINK is False


def test_pages_load_nothing_from_other_sites(client: Client) -> None:
    policy = client.get("/admin/login/").headers["Content-Security-Policy"]
    directives = dict(directive.split(" ", 1) for directive in policy.split("; "))
    assert directives["default-src"] == "'none'"
    assert directives["script-src"] == "'self' 'unsafe-eval'"
    assert directives["img-src"] == "'self' data:"
    assert directives["frame-ancestors"] == "'none'"
    assert not re.search(r"https?:", policy)
