"""`manage.py migrate` as a deploy meets it: refusals, gates, locks, limits, the plan."""

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.ops.running import wait_until
from tests.shop_project import Shop, create_shop, suite_server

pytestmark = pytest.mark.engine

LARGE = "INSERT INTO shop_item (name, note) SELECT 'n', repeat('x', 20) FROM generate_series(1, 250000)"
ADD_COLUMN = 'migrations.AddField("item", "later", models.IntegerField(null=True)),'
ADD_UNIQUE = 'migrations.AddConstraint("item", models.UniqueConstraint(fields=["name"], name="u")),'
ADD_CHECK = 'migrations.AddConstraint("item", models.CheckConstraint(condition=Q(score__gte=0), name="c")),'
ALTER_TYPE = 'migrations.AlterField("item", "score", models.BigIntegerField(db_default=0)),'
ADD_INDEX = 'migrations.AddIndex("item", models.Index(fields=["score"], name="item_score")),'


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The name of a database with the tables of every app, and the first migration of the shop."""
    with create_shop(tmp_path_factory.mktemp("template"), suite_server(), name="shop_template") as shop:
        yield shop.database


@pytest.fixture
def shop(template: str, tmp_path: Path) -> Iterator[Shop]:
    with create_shop(tmp_path, suite_server(), template) as shop:
        yield shop


def lines_of(text: str) -> list[str]:
    return [line.rstrip() for line in text.splitlines()]


def test_what_would_lock_a_large_table_is_refused(shop: Shop) -> None:
    shop.query(LARGE)
    shop.add_migration("0002_column", ADD_COLUMN)
    shop.add_migration(
        "0003_rows",
        'migrations.AddField("item", "more", models.IntegerField(null=True)),'
        'migrations.RunSQL("UPDATE shop_item SET score = 1", ""),'
        'migrations.AlterField("item", "score", models.BigIntegerField(db_default=0)),',
    )
    done = shop.migrate()
    assert done.returncode == 2
    assert "Applying shop.0002_column... OK" in done.stdout
    assert lines_of(done.stderr) == [
        "CommandError: The migration is not safe while players play. It was not applied.",
        "  UPDATE shop_item SET score = 1",
        "    locks every row that it changes until the migration ends (shop_item)",
        "    safe: an operation, which works in batches",
        '  ALTER TABLE "shop_item" ALTER COLUMN "score" TYPE bigint USING "score"::bigint',
        "    rewrites the table, which blocks reads and writes (shop_item)",
        "    safe: a column change: manage.py startchange APP.MODEL FIELD",
        "To apply it while nobody plays: manage.py migrate --allow-unsafe --statement-timeout 1h",
    ]
    assert (shop.applied(), "more" in shop.columns()) == (["0001_first", "0002_column"], False)
    assert shop.migrate("--allow-unsafe", "--statement-timeout", "1h").returncode == 0
    assert shop.query("SELECT DISTINCT score FROM shop_item") == [(1,)]


def test_the_same_on_a_small_table_is_let_through(shop: Shop) -> None:
    shop.add_migration("0002_rows", 'migrations.RunSQL("UPDATE shop_item SET score = 1", ""),')
    assert shop.migrate().returncode == 0


def test_a_refusal_that_was_not_known_in_advance_undoes_the_migration(shop: Shop) -> None:
    """The table that the statement names is in a function, which runs before."""
    shop.query(LARGE)
    shop.add_migration(
        "0002_late",
        "migrations.RunPython(lambda apps, editor: ["
        'editor.execute("ALTER TABLE shop_item ADD COLUMN a int"),'
        'editor.execute("UPDATE shop_item SET score = 1")]),',
    )
    done = shop.migrate()
    assert (done.returncode, "UPDATE shop_item" in done.stderr) == (2, True)
    assert (shop.applied(), "a" in shop.columns()) == (["0001_first"], False)


GATE = """
from django.db import migrations
from ops.exceptions import OpsError

class Closed(OpsError):
    exit_status = 3

def require(apps, editor):
    raise Closed("The gate is closed. Come again tomorrow.")
"""


@pytest.mark.parametrize("operations", [ADD_COLUMN, ADD_INDEX])
def test_a_gate_stops_the_deploy_before_its_migration(shop: Shop, operations: str) -> None:
    shop.add_migration("0002_column", 'migrations.RunSQL("ALTER TABLE shop_item ADD b int", ""),')
    shop.add_migration("0003_gate", f"migrations.RunPython(require), {operations}")
    shop.write_migration("0003_gate", GATE + (shop.folder / "shop/migrations/0003_gate.py").read_text())
    done = shop.migrate()
    assert (done.returncode, done.stderr) == (
        3,
        "CommandError: The gate is closed. Come again tomorrow.\n",
    )
    assert done.stdout.endswith("Applying shop.0003_gate...\n")
    assert (shop.applied(), shop.columns() & {"b", "later"}) == (["0001_first", "0002_column"], {"b"})
    assert shop.query("SELECT to_regclass('item_score')") == [(None,)]
    assert shop.migrate("--plan").returncode == 0


INVALID = "SELECT 1 FROM pg_index WHERE NOT indisvalid AND indexrelid = to_regclass('item_score')"


def test_players_do_not_wait_while_it_waits_for_a_lock(shop: Shop) -> None:
    shop.add_migration("0002_column", ADD_COLUMN)
    with shop.session() as holder, shop.session() as player:
        holder.execute("UPDATE shop_item SET score = 1 WHERE id = 1")
        with shop.start("migrate") as process:
            assert process.stderr
            told = process.stderr.readline()
            for _ in range(100):
                # It fails if it waits at all.
                player.execute("SET LOCAL lock_timeout = '1ms'")
                player.execute("SELECT count(*) FROM shop_item")
                player.rollback()
            assert process.poll() is None
            holder.rollback()
            out, err = process.communicate(timeout=100)
    assert process.returncode == 0
    assert "later" in shop.columns()
    assert lines_of(out) == [
        "Operations to perform:",
        "  Apply all migrations: auth, contenttypes, ops, shop",
        "Running migrations:",
        "  Applying shop.0002_column...",
        " OK",
    ]
    assert lines_of(told + err) == [
        "Another session holds a lock that the migration needs. Trying again for up to 5 min."
        " To see who holds it: manage.py db_stats"
    ]


def test_a_step_outside_of_the_transaction_is_tried_again_by_itself(shop: Shop) -> None:
    """UNIQUE needs a short lock after its index was built."""
    shop.add_migration("0002_unique", ADD_UNIQUE)
    with shop.session() as holder:
        holder.execute("LOCK TABLE shop_item IN ACCESS SHARE MODE")
        with shop.start("migrate") as process:
            assert "Trying again" in process.stderr.readline()
            assert shop.query("SELECT indisvalid FROM pg_index WHERE indexrelid = 'u'::regclass") == [(True,)]
            holder.rollback()
            assert process.wait(100) == 0
    assert shop.query("SELECT contype::text FROM pg_constraint WHERE conname = 'u'") == [("u",)]


def test_an_index_build_that_was_killed_is_made_anew(shop: Shop) -> None:
    """It waits for an older transaction when the process is killed, and leaves the index invalid."""
    shop.add_migration("0002_index", ADD_INDEX)
    with shop.session() as holder:
        holder.execute("UPDATE shop_item SET score = 1 WHERE id = 1")
        with shop.start("migrate") as process:
            wait_until(lambda: shop.query(INVALID))
            process.kill()
        assert shop.applied() == ["0001_first"]
        with shop.start("migrate") as again:
            assert again.stderr
            assert "item_score" in again.stderr.readline()  # waits for the build, or drops what it left
            holder.rollback()
            assert again.wait(100) == 0
    assert shop.query("SELECT indisvalid FROM pg_index WHERE indexrelid = 'item_score'::regclass") == [
        (True,)
    ]
    assert shop.applied() == ["0001_first", "0002_index"]


SLEEPS = '"SELECT pg_sleep(0.7)", "SELECT pg_sleep(0.7)", "SELECT pg_sleep(0.7)"'


def test_a_transaction_holds_its_lock_for_the_limit_in_all(shop: Shop) -> None:
    shop.add_migration("0002_long", f'{ADD_COLUMN} migrations.RunSQL([{SLEEPS}], ""),')
    done = shop.migrate("--statement-timeout", "1s")
    assert done.returncode == 1
    assert "A migration may lock a table for 1.0 s." in done.stderr
    assert (shop.applied(), "later" in shop.columns()) == (["0001_first"], False)


def test_without_a_lock_the_limit_is_for_each_statement(shop: Shop) -> None:
    shop.add_migration("0002_slow", f'migrations.RunSQL([{SLEEPS}], ""),')
    assert shop.migrate("--statement-timeout", "1s").returncode == 0


def test_a_migration_in_python_has_the_timeouts(shop: Shop) -> None:
    shop.add_migration(
        "0002_python",
        "migrations.RunPython(lambda apps, editor: editor.connection.cursor().execute("
        "'SELECT pg_sleep(100)')),",
    )
    done = shop.migrate("--statement-timeout", "1s")
    assert (done.returncode, "canceling statement due to statement timeout" in done.stderr) == (1, True)


def test_rows_that_do_not_fit_are_named_and_the_rest_goes_on(shop: Shop) -> None:
    shop.query("UPDATE shop_item SET name = 'n1' WHERE name = 'n2'")
    shop.add_migration(
        "0002_unique",
        ADD_COLUMN + ADD_UNIQUE,
    )
    done = shop.migrate()
    assert done.returncode == 1
    assert "shop.0002_unique: rows do not fit: could not create unique index" in done.stderr
    assert "Key (name)=(n1) is duplicated" in done.stderr
    assert shop.query("SELECT to_regclass('u')") == [(None,)]  # an invalid one may refuse new rows
    shop.query("UPDATE shop_item SET name = 'n2' WHERE id = 2")
    assert shop.migrate().returncode == 0
    assert (shop.applied(), "later" in shop.columns()) == (["0001_first", "0002_unique"], True)


def test_a_migration_that_was_changed_meanwhile_is_not_gone_on_with(shop: Shop) -> None:
    shop.query("UPDATE shop_item SET name = 'n1' WHERE name = 'n2'")
    shop.add_migration("0002_unique", ADD_COLUMN + ADD_UNIQUE)
    assert shop.migrate().returncode == 1
    path = shop.folder / "shop/migrations/0002_unique.py"
    # Of another length: Python takes a file of the same size and second for the one that it has compiled.
    path.write_text(path.read_text().replace(ADD_COLUMN, ADD_COLUMN.replace("later", "another")))
    done = shop.migrate()
    assert done.returncode == 1
    assert "shop.0002_unique was changed after a part of it was done:" in done.stderr
    assert "AddField: Add field later to item" in done.stderr


def test_an_index_that_is_there_already_is_not_taken_for_ours(shop: Shop) -> None:
    shop.query("CREATE INDEX item_score ON shop_item (name)")
    shop.add_migration("0002_index", ADD_INDEX)
    for _ in range(2):
        done = shop.migrate()
        assert (done.returncode, 'relation "item_score" already exists' in done.stderr) == (1, True)


def test_what_was_undone_in_part_is_named(shop: Shop) -> None:
    shop.add_migration("0002_index", ADD_INDEX)
    assert shop.migrate().returncode == 0
    shop.query("CREATE TABLE ops_unfinished_migrations (app text, name text, backwards boolean, state jsonb)")
    shop.query("INSERT INTO ops_unfinished_migrations VALUES ('shop', '0002_index', true, '{}')")
    done = shop.migrate()
    assert done.stderr.startswith(
        "shop.0002_index was undone in part. To go on, name the migration before it:"
    )


def test_the_plan_shows_statements_locks_and_limits(shop: Shop) -> None:
    shop.add_migration(
        "0002_many",
        ADD_COLUMN
        + ADD_INDEX
        + "migrations.RunPython(migrations.RunPython.noop),"
        + ADD_CHECK
        + 'migrations.RunSQL("UPDATE shop_item SET score = 1"),'
        'migrations.CreateModel("Tag", [("id", models.BigAutoField(primary_key=True))]),',
    )
    done = shop.migrate("--plan", "--lock-timeout", "2s")
    assert lines_of(done.stdout) == [
        "Planned operations:",
        "shop.0002_many",
        "    Add field later to item",
        '      ALTER TABLE "shop_item" ADD COLUMN "later" integer NULL;',
        "        ACCESS EXCLUSIVE on shop_item; waits 2 s, holds 5 s at most",
        "    Create index item_score on field(s) score of model item",
        '      CREATE INDEX CONCURRENTLY "item_score" ON "shop_item" ("score");',
        "        SHARE UPDATE EXCLUSIVE on shop_item; no transaction; no limits; players read and write",
        "    Raw Python operation",
        "      Python, whose statements cannot be shown in advance",
        "    Create constraint c on model item",
        '      ALTER TABLE "shop_item" ADD CONSTRAINT "c" CHECK ("score" >= 0) NOT VALID;',
        "        ACCESS EXCLUSIVE on shop_item; waits 2 s, holds 5 s at most",
        '      ALTER TABLE "shop_item" VALIDATE CONSTRAINT "c";',
        "        SHARE UPDATE EXCLUSIVE on shop_item; own transaction; waits 2 s, no other limit;"
        " players read and write",
        "    Raw SQL operation -> UPDATE shop_item SET score = 1",
        "      UPDATE shop_item SET score = 1;",
        "        ROW EXCLUSIVE on shop_item; waits 2 s, takes 5 s at most; players read and write other rows",
        "    Create model Tag",
        '      CREATE TABLE "shop_tag" ("id" bigint NOT NULL PRIMARY KEY GENERATED BY DEFAULT AS IDENTITY);',
        "        no lock on a table that is in use",
    ]
    assert shop.applied() == ["0001_first"]


def test_the_plan_marks_what_is_refused(shop: Shop) -> None:
    shop.query(LARGE)
    shop.add_migration("0002_type", ALTER_TYPE)
    assert lines_of(shop.migrate("--plan").stdout)[-3:] == [
        "        ACCESS EXCLUSIVE on shop_item; waits 1 s, holds 5 s at most",
        "      REFUSED: rewrites the table, which blocks reads and writes (shop_item)",
        "        safe: a column change: manage.py startchange APP.MODEL FIELD",
    ]


def test_sqlmigrate_shows_what_migrate_runs(shop: Shop) -> None:
    shop.add_migration(
        "0002_many",
        ADD_COLUMN + ADD_UNIQUE,
    )
    assert lines_of(shop.manage("sqlmigrate", "shop", "0002").stdout) == [
        "--",
        "-- Add field later to item",
        "--",
        "BEGIN;",
        'ALTER TABLE "shop_item" ADD COLUMN "later" integer NULL;',
        "COMMIT;",
        "--",
        "-- Create constraint u on model item",
        "--",
        'CREATE UNIQUE INDEX CONCURRENTLY "u" ON "shop_item" ("name");',
        "BEGIN;",
        'ALTER TABLE "shop_item" ADD CONSTRAINT "u" UNIQUE USING INDEX "u";',
        "COMMIT;",
    ]
    assert lines_of(shop.manage("sqlmigrate", "shop", "0001").stdout)[0] == "BEGIN;"


def test_an_atomic_migration_is_recorded_in_its_transaction(shop: Shop) -> None:
    """Django commits first where a statement was deferred to the end: a kill would lose the record."""
    shop.add_migration(
        "0002_tag",
        'migrations.CreateModel("Tag", [("id", models.BigAutoField(primary_key=True)),'
        ' ("item", models.ForeignKey("shop.item", models.CASCADE))]),',
    )
    shop.query("CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no'; END $$")
    shop.query("CREATE TRIGGER t BEFORE INSERT ON django_migrations EXECUTE FUNCTION refuse()")
    assert shop.migrate().returncode != 0
    assert shop.query("SELECT to_regclass('shop_tag')") == [(None,)]


def test_not_null_with_a_default_needs_no_update_once_it_is_filled(shop: Shop) -> None:
    shop.query(LARGE)
    shop.query("UPDATE shop_item SET note = NULL WHERE id = 7")
    alter = 'migrations.AlterField("item", "note", models.CharField(max_length=20, default="x")),'
    shop.add_migration("0002_note", alter)
    done = shop.migrate()
    assert (done.returncode, 'WHERE "note" IS NULL' in done.stderr) == (2, True)
    shop.query("UPDATE shop_item SET note = 'y' WHERE id = 7")
    assert shop.migrate().returncode == 0
    with pytest.raises(psycopg.errors.NotNullViolation):
        shop.query("INSERT INTO shop_item (name) VALUES ('n')")


def test_a_conflict_after_the_migrations_repeats_no_headings(shop: Shop) -> None:
    """Django adds the permissions of a new model at the end, in a transaction of its own."""
    shop.add_migration(
        "0002_tag", 'migrations.CreateModel("Tag", [("id", models.BigAutoField(primary_key=True))]),'
    )
    (shop.folder / "shop/models.py").write_text(
        "from django.db import models\n\nclass Tag(models.Model):\n    pass\n"
    )
    with shop.session() as holder:
        holder.execute("LOCK TABLE auth_permission IN SHARE MODE")
        with shop.start("migrate", "--lock-timeout", "1s") as process:
            assert "Trying again" in process.stderr.readline()
            holder.rollback()
            out, err = process.communicate(timeout=100)
    assert (process.returncode, err) == (0, "")
    assert [line for line in lines_of(out) if "Running" in line or "0002" in line] == [
        "Running migrations:",
        "  Applying shop.0002_tag... OK",
    ]
    assert shop.query("SELECT count(*) FROM auth_permission WHERE codename LIKE '%tag'") == [(4,)]


def test_what_is_done_of_a_migration_is_forgotten_when_it_is_faked(shop: Shop) -> None:
    shop.query("UPDATE shop_item SET name = 'n1' WHERE name = 'n2'")
    shop.add_migration("0002_unique", ADD_COLUMN + ADD_UNIQUE)
    assert shop.migrate().returncode == 1
    plan = lines_of(shop.migrate("--plan").stdout)
    assert plan[plan.index("    Add field later to item") + 1] == "      done already"
    assert shop.migrate("--fake").returncode == 0
    assert shop.query("SELECT to_regclass('ops_unfinished_migrations')") == [(None,)]


def test_migrations_can_be_faked(shop: Shop) -> None:
    shop.add_migration("0002_index", ADD_INDEX)
    assert "Applying shop.0002_index... FAKED" in shop.migrate("--fake").stdout
    assert shop.query("SELECT to_regclass('item_score')") == [(None,)]
    assert "Unapplying shop.0002_index... FAKED" in shop.migrate("shop", "0001", "--fake").stdout
    assert shop.applied() == ["0001_first"]


def test_another_schema_and_another_database(shop: Shop) -> None:
    settings = shop.folder / "settings.py"
    shop.query("CREATE SCHEMA game")
    settings.write_text(
        settings.read_text()
        + "DATABASES['other'] = {**DATABASES['default'], 'OPTIONS': {'options': '-c search_path=game'}}\n"
    )
    assert shop.migrate("--database", "other", "--verbosity=0").returncode == 0
    shop.add_migration(
        "0002_many",
        ADD_INDEX + ADD_UNIQUE + 'migrations.AlterField("item", "note", models.CharField(max_length=20)),',
    )
    done = shop.migrate("--database", "other")
    assert done.returncode == 0, done.stderr
    indexes = "SELECT indexrelid::regclass::text FROM pg_index WHERE indrelid = 'game.shop_item'::regclass"
    assert set(shop.query(indexes)) == {("game.shop_item_pkey",), ("game.item_score",), ("game.u",)}
    assert shop.applied() == ["0001_first"]  # of the default database
    assert shop.migrate("shop", "zero", "--database", "other").returncode == 0
    assert shop.query("SELECT to_regclass('game.shop_item'), to_regclass('shop_item')::text") == [
        (None, "shop_item")
    ]
