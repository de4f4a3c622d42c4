"""A primary key and the columns that refer to it become bigint, while players write rows."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.ops.shop import Generations, Shop, playing, shop

pytestmark = pytest.mark.long

_MODELS = """
from django.db import models

class Owner(models.Model):
    id = models.{key}(primary_key=True)
    {copy}
    name = models.TextField()
    parent = models.ForeignKey("self", models.SET_NULL, null=True)

class Item(models.Model):
    owner = models.ForeignKey(Owner, models.CASCADE, related_name="items")
    {column}
"""
_COPY = "id_v2 = models.BigIntegerField(blank=True, editable=False)"
_COLUMN = 'owner_v2 = models.ForeignKey(Owner, models.CASCADE, related_name="+")'
_OPERATIONS = '''
from datetime import timedelta
from django.db.models import Value
from ops.column_changes import ColumnChange, register_change
from ops.operations import Operation, register
from shop.models import Item, Owner

@register
class RenameOwner(Operation):
    """Rename nobody."""
    name = "rename_owner"
    model = Owner

    def get_queryset(self):
        return Owner.objects.filter(name="nobody")

    def get_changes(self):
        return {"name": Value("somebody")}

class Base(ColumnChange):
    swap = True
    unmappable = "keep"
    drop_after = timedelta()
    no_wait_reason = "A test does not wait."
'''
_KEY_CHANGE = """
@register_change
class OwnerKey(Base):
    name = "owner_key"
    model = Owner
    old = "id"
    new = "id_v2"
"""
_COLUMN_CHANGE = """
@register_change
class ItemOwner(Base):
    name = "item_owner"
    model = Item
    old = "owner"
    new = "owner_v2"
"""
_ROWS = (
    "from shop.models import Item, Owner;"
    "[Item.objects.create(owner=Owner.objects.create(name='nobody')) for _ in range(9)]"
)
# Writes rows that refer to rows; a line for each round: {} or the error.
_PLAYER = """
import json, os, select, sys
os.environ["DJANGO_SETTINGS_MODULE"] = "settings"
import django
django.setup()
from shop.models import Item, Owner

parent = None
while not select.select([sys.stdin], [], [], 0.02)[0]:
    problem = {}
    try:
        narrow = parent if parent and parent.pk < 2**31 else None  # the column stays an integer
        owner = Owner.objects.create(name="x", parent=narrow)
        Item.objects.create(owner=owner)
        owner.name = str(os.getpid())
        owner.save()
        parent = Owner.objects.get(pk=owner.pk)
        if parent.items.count() != 1:
            problem = {"error": "lost"}
        parent.parent and parent.parent.delete()
    except Exception as exc:
        problem = {"error": type(exc).__name__, "message": str(exc).splitlines()[0]}
    print(json.dumps(problem), flush=True)
"""


def write_models(key: str, copy: str = "", column: str = "") -> str:
    return _MODELS.format(key=key, copy=copy, column=column)


GENERATIONS = {
    "old": (write_models("AutoField"), ""),
    "both": (write_models("AutoField", _COPY), _OPERATIONS + _KEY_CHANGE),
    "forgotten": (write_models("AutoField"), _OPERATIONS + _KEY_CHANGE),
    "new": (write_models("BigAutoField"), _OPERATIONS + _KEY_CHANGE),
    "columns": (
        write_models("BigAutoField", column=_COLUMN),
        _OPERATIONS + _KEY_CHANGE + _COLUMN_CHANGE,
    ),
    "last": (write_models("BigAutoField"), _OPERATIONS + _KEY_CHANGE + _COLUMN_CHANGE),
}


@contextmanager
def keys(root: Path, generations: Generations = GENERATIONS) -> Iterator[Shop]:
    with shop(root, generations=generations, rows=_ROWS) as project:
        for generation in generations:
            (project.root / generation / "player.py").write_text(_PLAYER)
        yield project


def definitions(project: Shop) -> list[Any]:
    """The columns, constraints, indexes and sequences of both tables."""
    return project.execute(
        "SELECT conname, pg_get_constraintdef(oid), convalidated FROM pg_constraint"
        " WHERE conrelid IN ('shop_owner'::regclass, 'shop_item'::regclass)"
        " UNION SELECT indexname, indexdef, true FROM pg_indexes"
        " WHERE tablename IN ('shop_owner', 'shop_item')"
        " UNION SELECT attrelid::regclass || '.' || attname, concat_ws(' ', format_type(atttypid, atttypmod),"
        " attidentity, pg_get_serial_sequence(attrelid::regclass::text, attname)), attnotnull"
        " FROM pg_attribute"
        " WHERE attrelid IN ('shop_owner'::regclass, 'shop_item'::regclass)"
        " AND attnum > 0 AND NOT attisdropped"
        " UNION SELECT sequencename, concat_ws(' ', data_type, start_value, min_value, max_value), cycle"
        " FROM pg_sequences WHERE sequencename LIKE 'shop%' ORDER BY 1, 2"
    )


IS_CLEAN = "makemigrations --check --dry-run"
MAX_INTEGER = 2**31 - 1


def verbs(change: str) -> tuple[str, str, str]:
    """What plans the change, takes its next step, and takes that back."""
    plan, step, back = (f"column_change {change} {verb}" for verb in ("plan", "next", "back"))
    return plan, f"{step} --execute", f"{back} --execute"


def test_keys_become_bigint_while_players_write(tmp_path: Path) -> None:
    for name in ("changed", "fresh"):
        (tmp_path / name).mkdir()
    with keys(tmp_path / "changed") as project:
        with playing(project, "old"):
            plan, step, back = verbs("owner_key")
            rename = "operate rename_owner --execute"
            project.manage("both", plan, IS_CLEAN, step, rename, *[step] * 3)
            constrained = definitions(project)
            done = project.run("forgotten", *step.split())
            assert "Write: id = models.BigAutoField(primary_key=True)." in done.stderr
            with playing(project, "new"):
                project.manage("new", step, IS_CLEAN, step, back)
                assert definitions(project) == constrained
                project.execute("UPDATE shop_owner SET name = 'another' WHERE id = 3")
                project.manage("new", step, "runs revert 1 --execute")
            names = "SELECT id FROM shop_owner WHERE name = 'nobody' ORDER BY id"
            assert project.execute(names) == [(key,) for key in (1, 2, 4, 5, 6, 7, 8, 9)]
            plan, step, back = verbs("item_owner")
            project.manage("columns", plan, IS_CLEAN, *[step] * 4)
            constrained = definitions(project)
        with playing(project, "last"):
            project.manage("last", step, IS_CLEAN, step, back)
            assert definitions(project) == constrained
            project.manage("last", step)
            project.execute(f"SELECT setval('shop_owner_id_seq', {MAX_INTEGER})")
        [(count,)] = project.execute(f"SELECT count(*) FROM shop_item WHERE owner_id > {MAX_INTEGER}")
        assert count > 0
        done = project.run("last", *back.split())
        assert (done.returncode, "have a value of owner_id that does not fit" in done.stderr) == (1, True), (
            done.stderr
        )
        project.add_backup(tmp_path / "file.dump")
        project.manage("last", step, step, *[verbs("owner_key")[1]] * 2, IS_CLEAN)
        found = definitions(project)
    with keys(tmp_path / "fresh", {"old": GENERATIONS["last"]}) as project:
        found.remove(("shop_owner.parent_id", "integer ", False))
        assert {*found} == {*definitions(project)} - {("shop_owner.parent_id", "bigint ", False)}
