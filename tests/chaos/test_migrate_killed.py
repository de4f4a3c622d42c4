"""A migration that must leave its transaction is killed before each statement, and run again."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kyndo.localservices.state import read_state
from tests.chaos.conftest import Dose
from tests.debian import DebianPostgres, require_debian_postgres
from tests.other_project import run_in_project
from tests.shop_project import Shop, create_shop, suite_server

pytestmark = pytest.mark.long
SECOND = """
import pgtrigger
from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models
from django.db.models import F

def raise_scores(apps, schema_editor):
    apps.get_model("shop", "Item").objects.using(schema_editor.connection.alias).update(score=F("score") + 1)

class Migration(migrations.Migration):
    dependencies = [("shop", "0001_first")]
    operations = [
        migrations.AddField("item", "rank", models.PositiveIntegerField(db_default=3)),
        migrations.RunSQL("UPDATE shop_item SET score = score + 10", migrations.RunSQL.noop),
        migrations.AlterField("item", "note", models.CharField(max_length=20)),
        migrations.RunPython(raise_scores, migrations.RunPython.noop),
        migrations.AddIndex("item", models.Index(fields=["score"], name="item_score")),
        migrations.AddConstraint("item", models.UniqueConstraint(fields=["name"], name="one_name")),
        migrations.AddConstraint(
            "item", models.CheckConstraint(condition=models.Q(score__gte=0), name="positive")
        ),
        migrations.AddField("item", "owner", models.ForeignKey("shop.owner", models.CASCADE, null=True)),
        pgtrigger.migrations.AddTrigger(model_name="item", trigger=pgtrigger.compiler.Trigger(
            name="t", sql=pgtrigger.compiler.UpsertTriggerSql(
                func="RETURN NEW;", hash="x", operation="INSERT", pgid="pgtrigger_t_1", table="shop_item",
                when="BEFORE"))),
        migrations.RunSQL("ALTER TABLE shop_item ADD COLUMN raw int; CREATE INDEX raw ON shop_item (raw);"
            " ALTER TABLE shop_item ALTER COLUMN raw SET DEFAULT 5", "ALTER TABLE shop_item DROP COLUMN raw"),
        migrations.AddField("item", "code", models.CharField(max_length=9, null=True, unique=True)),
        migrations.AlterField("item", "name", models.CharField(max_length=20, db_index=True)),
        migrations.RemoveIndex("item", "item_score"),
    ]
"""
# The same, where the author says that it is no transaction.
THIRD = """
from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models

class Migration(migrations.Migration):
    atomic = False
    dependencies = [("shop", "0002_second")]
    operations = [
        AddIndexConcurrently("item", models.Index(fields=["rank"], name="item_rank")),
        migrations.RunSQL(
            "UPDATE shop_item SET score = score + 100; ALTER TABLE shop_item ADD COLUMN more int",
            "ALTER TABLE shop_item DROP COLUMN more"),
        migrations.AlterField("item", "rank", models.PositiveIntegerField(null=True, db_index=True)),
        migrations.AlterField("item", "rank", models.PositiveIntegerField(null=True)),
    ]
"""
LATER = {"0002_second": SECOND, "0003_third": THIRD}


@pytest.fixture(params=["15", pytest.param("default", marks=pytest.mark.engine)])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[dict[str, Any]]:
    """Connection settings of a server: Debian's PostgreSQL 15, or the suite's."""
    if request.param == "default":
        yield suite_server()
        return
    require_debian_postgres()
    debian = DebianPostgres(tmp_path / "server")
    debian.start()
    try:
        state = read_state(debian.state_file)
        assert state
        yield {"HOST": "127.0.0.1", "PORT": state.port, "USER": "kyndo", "PASSWORD": state.password}
    finally:
        debian.stop()


@pytest.fixture
def shop(server: dict[str, Any], tmp_path: Path) -> Iterator[Shop]:
    with create_shop(tmp_path / "project", server) as shop:
        for name, text in LATER.items():
            shop.write_migration(name, text)
        yield shop


def kill_everywhere(shop: Shop, dose: Dose, *words: str) -> Any:
    """Return the state in the end, which is the same after each kill: schema, migrations, rows."""
    every = 1 if dose.is_large else 9
    done = run_in_project(shop.folder, "-m", "tests.chaos.migration_kills", shop.database, str(every), *words)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["different"] == [], result["expected"]
    assert result["kills"] > 40 // every
    return json.loads(result["expected"])


def test_migrate_goes_on_after_a_kill_at_any_statement(shop: Shop, dose: Dose) -> None:
    schema, applied, rows = kill_everywhere(shop, dose)
    assert [name for _, name in applied] == ["0001_first", *LATER]
    assert rows[0] == ["n1", 111]  # each change of rows was made once
    assert schema["column shop_item.note"] == "character varying(20) not null"
    assert "INVALID" not in str(schema)
    assert "NOT VALID" not in str(schema)
    assert "table ops_unfinished_migrations" not in schema


@pytest.mark.chaos
def test_migrate_goes_on_backwards_after_a_kill(shop: Shop, dose: Dose) -> None:
    before = shop.columns()
    assert shop.migrate().returncode == 0
    schema, applied, _ = kill_everywhere(shop, dose, "shop", "0001")
    assert [name for _, name in applied] == ["0001_first"]
    columns = [key.partition(".")[2] for key in schema if key.startswith("column shop_item.")]
    assert sorted(columns) == sorted(before)
    assert "table ops_unfinished_migrations" not in schema
