"""Every URL of the admin, for rows whose key is KEY, and those rows."""

import re
from collections.abc import Iterator

from django.contrib import admin
from django.contrib.auth.models import Group, User
from django.contrib.contenttypes.models import ContentType
from django.urls import URLPattern, URLResolver
from django.utils import timezone

from cards.models import Asset, Card, PresentationRule
from ops.admin.starting.operations import get_model_operations
from ops.export.request import ExportRequest
from ops.models import AuditLog, ChangeSet, Export, Run, SavedView, Upload
from ops.operations import registry
from ops.operations.validation import build_operation, fingerprint

# Greater than any key that a sequence has reached.
KEY = 10**9
AUTOCOMPLETE_QUERY = "app_label=cards&model_name=asset&field_name=card&term=a"


def iter_urls() -> Iterator[tuple[str, str]]:
    """Yield the name and the URL of every page: ``("cards_card_operate bulk_promote", "/admin/cards/...")``.

    A pattern without a name, which redirects, is named by its route.
    """
    for url, pattern in _iter_patterns("/admin/", admin.site.get_urls()):
        name = pattern.name or str(pattern.pattern)
        if "<str:name>" in url and name.endswith("_operate"):
            for operation in _list_operations(name):
                yield f"{name} {operation}", f"{url.replace('<str:name>', operation)}?across=1"
        elif "(?P<app_label>" in url:
            for label in ("auth", "cards", "ops"):
                yield f"{name} {label}", f"/admin/{label}/"
        else:
            yield name, _fill_route(url) + _get_query(name)


def _iter_patterns(prefix: str, patterns: list[URLPattern | URLResolver]) -> Iterator[tuple[str, URLPattern]]:
    for pattern in patterns:
        route = f"{prefix}{pattern.pattern}"
        if isinstance(pattern, URLResolver):
            yield from _iter_patterns(route, pattern.url_patterns)
        else:
            yield route, pattern


def _list_operations(name: str) -> list[str]:
    app, model, _ = name.split("_")
    model_class = ContentType.objects.get_by_natural_key(app, model).model_class()
    assert model_class
    return [operation.name for operation in get_model_operations(model_class)]


def _fill_route(route: str) -> str:
    return re.sub(r"\(\?P<url>.*", "nowhere", re.sub(r"<[a-z:_]+>", str(KEY), route))


def _get_query(name: str) -> str:
    if name == "autocomplete":
        return f"?{AUTOCOMPLETE_QUERY}"
    return "?across=1" if name.endswith("_export") else ""


def create_one_of_each() -> None:
    """Create one row of each model that has pages; the run is queued."""
    eve = User.objects.create(pk=KEY, username="eve")
    SavedView.objects.create(pk=KEY, model="cards.card", name="hers", owner=eve, is_shared=True)
    Group.objects.create(pk=KEY, name="some group")
    card = Card.objects.create(pk=KEY, card_id="cóndor", title="Cóndor", pack_id="aves")
    PresentationRule.objects.create(pk=KEY, rarity="common", frame_color="#CCCCCC", sort_order=1)
    asset = {"asset_type": "a", "file_path": "a", "file_size": 1, "mime_type": "a/b", "checksum": "ab" * 32}
    Asset.objects.create(pk=KEY, asset_key="a", card=card, **asset)
    declared = registry.get_operation("backfill_rarity_v2")
    values = {
        "operation": declared.name,
        "model": "cards.card",
        "columns": ["rarity_v2"],
        "version": fingerprint(build_operation(declared, {}, timezone.now())),
    }
    ChangeSet.objects.create(pk=KEY, model="cards.card", columns=["title"], created_by="eve")
    Run.objects.create(pk=KEY, **values, as_of=timezone.now(), performed_by="ada", total=0)
    Upload.objects.create(pk=KEY, model="cards.card", name="aves.json", bytes=2, performed_by="eve")
    Export.objects.create(pk=KEY, asked=ExportRequest().as_json(), performed_by="ada")
    AuditLog.objects.create(
        pk=KEY, action="a", object_type="cards.card", object_id="1", performed_by="ada", changes={}
    )
