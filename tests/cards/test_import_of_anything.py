"""Random exports: each is loaded, or refused with a message and without any change."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cards.models import Asset, Card, PresentationRule
from tests.cards.anything import contents, empty, outcome
from tests.cards.conftest import run

pytestmark = pytest.mark.django_db(transaction=True)

PARTS = ("presentation_rules", "cards", "assets", "audit_logs")
SUMMARY = "export_summary"
NODE = Path(__file__).parent / "node_export"

# What JSON can say, and what no column takes. Raw text, since some of it is no value of Python's.
TEXTS = [
    '""',
    '" "',
    '"a b"',
    '"a\\u0000b"',
    '"\\ud800"',
    '"e\\u0301"',
    f'"{"x" * 2000}"',
    '"../x"',
    '"1"',
    '"null"',
]
NUMBERS = ["0", "-1", "7", "1.5", "1e400", "1e99999999999999999999", "9" * 30, "9" * 5000, "1E-16384", "-0.0"]
OTHERS = [
    "null",
    "true",
    "[]",
    "{}",
    "[null]",
    '{"a": 1, "a": 2}',
    "[" * 3000 + "]" * 3000,
    "NaN",
    "nul",
    "",
    "\ufeff",
]
TIMES = [
    '"2024-01-28T14:30:00+23:59"',
    '"0001-01-01T00:00:00+14:00"',
    '"9999-12-31T23:59:59-14:00"',
    '"24:00"',
]
junk = st.sampled_from(TEXTS + NUMBERS + OTHERS + TIMES)


class Mark(str):
    """A placeholder that is replaced by raw text in the document."""


def paths(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield at
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from paths(item, (*at, key))


def changed(value: Any, at: tuple[Any, ...], how: str, raw: str) -> Any:
    """Return the value with the item at a path replaced, dropped, or duplicated."""
    if not at:
        return Mark(raw)
    parent = value
    for key in at[:-1]:
        parent = parent[key]
    last = at[-1]
    if how == "drop":
        del parent[last]
    elif how == "twice" and isinstance(parent, list):
        parent.append(parent[last])
    elif how == "add" and isinstance(parent, dict):
        parent["added"] = Mark(raw)
    else:
        parent[last] = Mark(raw)
    return value


def dumps(value: Any) -> str:
    if isinstance(value, Mark):
        return str(value)
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(key)}:{dumps(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(dumps, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


def write(folder: Path, documents: dict[str, Any], *, honest: bool) -> None:
    """Write the files of an export; ``honest`` updates the entries of the summary to match them."""
    for part in PARTS:
        (folder / f"{part}.json").write_text(dumps(documents[part]), errors="surrogatepass")
    summary = documents[SUMMARY]
    files = summary.get("files") if honest and isinstance(summary, dict) else None
    for name, entry in files.items() if isinstance(files, dict) else ():
        if not isinstance(entry, dict) or name.removesuffix(".json") not in PARTS:
            continue
        content = (folder / name).read_bytes()
        rows = documents[name.removesuffix(".json")]
        entry.update(bytes=len(content), sha256=hashlib.sha256(content).hexdigest())
        if isinstance(rows, list):
            entry["rows"] = len(rows)
    if honest and isinstance(summary, dict) and isinstance(summary.get("counts"), dict):
        for name, part in zip(("presentationRules", "cards", "assets", "auditLogs"), PARTS, strict=True):
            if isinstance(documents[part], list):
                summary["counts"][name] = len(documents[part])
    (folder / f"{SUMMARY}.json").write_text(dumps(summary), errors="surrogatepass")


def read(folder: Path) -> dict[str, Any]:
    return {name: json.loads((folder / f"{name}.json").read_text()) for name in (*PARTS, SUMMARY)}


@pytest.fixture(scope="module")
def own(django_db_setup: None, django_db_blocker: Any) -> Iterator[dict[str, Any]]:
    """Return KYNDO's own export of the Node backend's data."""
    with django_db_blocker.unblock(), tempfile.TemporaryDirectory() as folder:
        empty()
        run("import_json", NODE, "--execute")
        Asset.objects.update(card=Card.objects.first())
        run("export_json", "--output", f"{folder}/e")
        empty()
        yield read(Path(folder) / "e")


@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture], deadline=None)
@given(st.data(), st.booleans(), st.booleans(), st.booleans())
def test_a_random_export_is_loaded_or_refused(
    own: dict[str, Any], data: st.DataObject, is_own: bool, used: bool, honest: bool
) -> None:
    documents = json.loads(json.dumps(own)) if is_own else read(NODE)
    for _ in range(data.draw(st.integers(1, 3))):
        name = data.draw(st.sampled_from([*PARTS, SUMMARY]))
        if not isinstance(documents[name], Mark):
            at = data.draw(st.sampled_from(list(paths(documents[name]))))
            how = data.draw(st.sampled_from(["replace", "replace", "drop", "twice", "add"]))
            documents[name] = changed(documents[name], at, how, data.draw(junk))
    folder = Path(tempfile.mkdtemp())
    try:
        empty()
        if used:
            PresentationRule.objects.create(rarity="common", frame_color="#CCCCCC", sort_order=1)
            Card.objects.create(card_id="loro", title="Here", pack_id="p")
        write(folder, documents, honest=honest)
        before = contents()
        previewed, preview = outcome("import_json", folder)
        assert contents() == before
        executed, message = outcome("import_json", folder, "--execute")
        assert (previewed, executed) in {(0, 0), (1, 1), (2, 2)}, (preview, message)
        if executed:
            assert contents() == before
            assert message == preview
            assert max(map(len, message.splitlines())) < 600, message
            message.encode()
        else:
            again, message = outcome("import_json", folder)
            assert (again, message.splitlines()[-1]) == (0, "There is nothing to do.")
    finally:
        shutil.rmtree(folder)
