"""A migration that must leave its transaction is killed before each statement, and run again."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest

from kyndo.localservices.state import read_state
from tests.chaos.conftest import Dose
from tests.debian import DebianPostgres, require_debian_postgres
from tests.other_project import run_python, write_project

pytestmark = [pytest.mark.engine, pytest.mark.long]
FIRST = """
from django.db import migrations, models

class Migration(migrations.Migration):
    operations = [
        migrations.CreateModel("Owner", [("id", models.BigAutoField(primary_key=True))]),
        migrations.CreateModel("Item", [
            ("id", models.BigAutoField(primary_key=True)),
            ("name", models.CharField(max_length=20)),
            ("note", models.CharField(max_length=20, null=True)),
            ("score", models.IntegerField(db_default=0)),
        ]),
        migrations.RunSQL(
            "INSERT INTO shop_item (name, note) SELECT 'n' || g, 'x' FROM generate_series(1, 50) g"),
    ]
"""
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
DATABASE = f"kills_{os.getpid()}"
LATER = {"0002_second.py": SECOND, "0003_third.py": THIRD}
FILES = {
    "shop/models.py": "",
    "shop/migrations/__init__.py": "",
    "shop/migrations/0001_first.py": FIRST,
}


@pytest.fixture(params=["15", "default"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[dict[str, object]]:
    """Connection settings of an empty database, on Debian's PostgreSQL 15 or the suite's."""
    if request.param == "15":
        require_debian_postgres()
        debian = DebianPostgres(tmp_path / "server")
        debian.start()
        try:
            state = read_state(debian.state_file)
            assert state
            yield {"HOST": "127.0.0.1", "PORT": state.port, "USER": "kyndo", "PASSWORD": state.password}
        finally:
            debian.stop()
    else:
        url = urlsplit(os.environ["DATABASE_URL"])
        yield {"HOST": url.hostname, "PORT": url.port, "USER": url.username, "PASSWORD": url.password}


def connect(server: dict[str, object], database: str) -> "psycopg.Connection[tuple[object, ...]]":
    settings = {name.lower(): value for name, value in server.items()}
    return psycopg.connect(dbname=database, autocommit=True, **settings)  # type: ignore[arg-type]


@pytest.fixture
def project(server: dict[str, object], tmp_path: Path) -> Iterator[Path]:
    """A project whose database has the first of its migrations."""
    with connect(server, "postgres") as admin:
        admin.execute(f"CREATE DATABASE {DATABASE}")
    folder = write_project(tmp_path / "project", {**server, "NAME": DATABASE}, FILES)
    done = run_python(folder, "manage.py", "migrate", "--verbosity=0")
    assert done.returncode == 0, done.stderr
    for name, text in LATER.items():
        (folder / "shop" / "migrations" / name).write_text(text)
    yield folder
    with connect(server, "postgres") as admin:
        admin.execute(f"DROP DATABASE {DATABASE} WITH (FORCE)")


def kill_everywhere(project: Path, every: int, *words: str) -> int:
    """Return the number of kills, after each of which the state was the same in the end."""
    done = run_python(project, "-m", "tests.chaos.migration_kills", DATABASE, str(every), *words)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["different"] == [], result["expected"]
    schema, applied, rows = json.loads(result["expected"])
    assert [name for _, name in applied] == ["0001_first", *(name.removesuffix(".py") for name in LATER)]
    assert rows[0] == ["n1", 111]  # each change of rows was made once
    assert schema["column shop_item.note"] == "character varying(20) not null"
    assert "INVALID" not in str(schema) and "NOT VALID" not in str(schema)  # noqa: PT018
    assert "table ops_unfinished_migrations" not in schema
    return int(result["kills"])


def test_migrate_goes_on_after_a_kill_at_any_statement(project: Path, dose: Dose) -> None:
    every = 1 if dose.is_large else 9
    assert kill_everywhere(project, every) > 60 // every
