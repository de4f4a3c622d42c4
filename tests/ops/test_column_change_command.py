"""``column_change`` shows where a change stands, takes its steps one by one, and takes them back."""

import json
import os
import re
import signal
import subprocess
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg import sql

from tests.ops.running import wait_until
from tests.other_project import run_in_project, start_in_project, write_project

TEMPLATE, DATABASE = f"change_template_{os.getpid()}", f"change_{os.getpid()}"
MODELS = """
from django.db import models

class Item(models.Model):
    title = models.CharField(max_length=20)
    {old}
    {new}
"""
OLD = 'size = models.CharField(max_length=8, db_default="small")'
NEW = 'size_v2 = models.CharField(max_length=64, db_default="small")'
CHANGE = """
from datetime import timedelta
from ops.column_changes import ColumnChange, register_change
from shop.models import Item

@register_change
class SizeV2(ColumnChange):
    \"\"\"Widen size to 64 characters.\"\"\"

    name = "size_v2"
    model = Item
    old = "size"
    new = "size_v2"
    retire_after = timedelta()
    no_wait_reason = "a trial"
"""
TAKE = """
import os
import sys
os.environ["DJANGO_SETTINGS_MODULE"] = "settings"
import django
django.setup()
from django.core.management import call_command
for _ in range(int(sys.argv[2])):
    for mode in ("--dry-run", "--execute"):
        call_command("column_change", "size_v2", sys.argv[1], mode, "--as", "ada")
"""
Command = Callable[..., "subprocess.CompletedProcess[str]"]


def execute(statement: str, *params: object, database: str = DATABASE) -> list[tuple[object, ...]]:
    url = urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{database}").geturl()
    with psycopg.connect(url, autocommit=True) as session:
        cursor = session.execute(statement, params or None)
        return cursor.fetchall() if cursor.description else []


def server_execute(statement: str) -> None:
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as server:
        server.execute(sql.SQL(statement).format(sql.Identifier(DATABASE), sql.Identifier(TEMPLATE)))


def database_settings(name: str) -> dict[str, object]:
    url = urlsplit(os.environ["DATABASE_URL"])
    keys = ("NAME", "USER", "PASSWORD", "HOST", "PORT")
    return dict(zip(keys, (name, url.username, url.password, url.hostname, url.port), strict=True))


@pytest.fixture(scope="module")
def planned(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The files of the app with the planned migrations; TEMPLATE has the table before them, of 40 rows."""
    root = tmp_path_factory.mktemp("before")
    files = {"shop/models.py": MODELS.format(old=OLD, new="")}
    project = write_project(root, database_settings(TEMPLATE), files)
    server_execute("CREATE DATABASE {1}")
    for words in ("makemigrations shop", "migrate"):
        done = run_in_project(project, "manage.py", *words.split())
        assert done.returncode == 0, done.stderr
    execute(
        "INSERT INTO shop_item (title, size) SELECT 't' || n, 'big' FROM generate_series(1, 40) n",
        database=TEMPLATE,
    )
    (project / "shop/models.py").write_text(MODELS.format(old=OLD, new=NEW))
    (project / "shop/operations.py").write_text(CHANGE)
    done = run_in_project(project, "manage.py", "column_change", "size_v2", "plan")
    told = [line for line in done.stdout.splitlines(keepends=True) if not line.startswith("  note  ")]
    assert "".join(told) == textwrap.dedent("""\
        Wrote the migrations:
          shop/migrations/0002_size_v2_expand.py
          shop/migrations/0003_size_v2_constrain.py
        Read them, and commit them with the change.
        To go on: manage.py column_change size_v2 next
        """)
    paths = [path for path in project.rglob("*.py") if path.parent != project]
    yield {str(path.relative_to(project)): path.read_text() for path in paths}
    server_execute("DROP DATABASE {1}")


@pytest.fixture
def project(planned: dict[str, str], tmp_path: Path) -> Iterator[Path]:
    server_execute("CREATE DATABASE {0} TEMPLATE {1}")
    (tmp_path / "shop").mkdir()
    yield write_project(tmp_path, database_settings(DATABASE), {**planned, "take.py": TAKE})
    server_execute("DROP DATABASE {0} WITH (FORCE)")


@pytest.fixture
def command(project: Path) -> Command:
    """Run ``column_change size_v2`` with these words, and check the exit status."""

    def command(words: str = "", status: int = 0) -> "subprocess.CompletedProcess[str]":
        done = run_in_project(project, "manage.py", "column_change", "size_v2", *words.split())
        assert (done.returncode, "Traceback" in done.stderr) == (status, False), done.stdout + done.stderr
        return done

    return command


def take(project: Path, count: int, verb: str = "next") -> str:
    """Take that many steps, or take them back, in one process; return what their previews and they write."""
    done = run_in_project(project, "take.py", verb, str(count))
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def steps() -> list[str]:
    events = execute("SELECT step, is_back, performed_by FROM ops_column_change_event ORDER BY id")
    return [f"{'back from ' if is_back else ''}{step} by {name}" for step, is_back, name in events]


def test_a_change_goes_from_nothing_to_switch_and_back(project: Path, command: Command) -> None:
    names = ["expand", "backfill", "verify", "constrain", "switch"]
    told = take(project, 5)
    assert re.findall(r"^size_v2: the step (\w+): ", told, re.MULTILINE) == names
    assert told.count("Nothing was written. To execute: manage.py column_change size_v2 next --execute") == 5
    assert steps() == [f"{name} by ada" for name in names]
    told = re.sub(r"\d{4}-\S+ \S+ UTC", "TIME", command().stdout)
    assert told.startswith(
        textwrap.dedent("""\
        size_v2: Widen size to 64 characters.
          model     shop.Item, table shop_item
          columns   size -> size_v2
          readers   use size_v2

        step       state   when                     by   run
        expand     done    TIME  ada
        backfill   done    TIME  ada  1
        verify     done    TIME  ada
        constrain  done    TIME  ada
        switch     done    TIME  ada
        retire     closed
        drop       later

        Migrations
          expand     shop.0002_size_v2_expand     applied
          constrain  shop.0003_size_v2_constrain  applied
        """)
    )
    told = take(project, 5, "back")
    assert re.findall(r"^size_v2: take back the step (\w+)\.", told, re.MULTILINE) == names[::-1]
    assert steps()[5:] == [f"back from {name} by ada" for name in names[::-1]]
    assert execute("SELECT * FROM shop_item WHERE id = 1") == [(1, "t1", "big")]


def test_the_list_says_where_each_change_stands(project: Path, command: Command) -> None:
    take(project, 1)
    done = run_in_project(project, "manage.py", "column_change")
    assert done.stdout == textwrap.dedent("""\
        change   model      from  to       done    next      readers use
        size_v2  shop.Item  size  size_v2  expand  backfill  size
        """)


def test_programs_read_each_document_from_a_line(command: Command) -> None:
    [shown] = map(json.loads, command("--json").stdout.splitlines())
    assert (shown["event"], shown["current"], shown["next"], shown["steps"][0]["migration"]) == (
        "column_change",
        None,
        "expand",
        "shop.0002_size_v2_expand",
    )
    [preview] = map(json.loads, command("next --json").stdout.splitlines())
    assert (preview["event"], preview["kind"], preview["step"]) == (
        "column_change_preview",
        "migrate",
        "expand",
    )
    documents = [
        json.loads(line) for _ in range(3) for line in command("next --execute --json").stdout.splitlines()
    ]
    taken = [each for each in documents if each["event"] == "column_change_step"]
    assert [(each["step"], each["run"], each["next"]) for each in taken] == [
        ("expand", None, "backfill"),
        ("backfill", 1, "verify"),
        ("verify", None, "constrain"),
    ]
    assert [each["event"] for each in documents if each not in taken] == ["finished", "checks"]


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        ("size", 2, "No column change is called 'size'; the declared ones: size_v2"),
        ("size_v2 retire", 2, "invalid choice: 'retire' (choose from 'plan', 'next', 'back')"),
        ("size_v2 --execute", 2, "--execute goes with next or back."),
        ("--execute", 2, "--execute goes with next or back."),
        ("size_v2 next --dry-run --execute", 2, "not allowed with argument --dry-run"),
        ("size_v2 back", 1, "size_v2 has not taken a step yet."),
    ],
)
def test_a_wrong_request_is_refused_in_words(project: Path, words: str, status: int, message: str) -> None:
    done = run_in_project(project, "manage.py", "column_change", *words.split())
    assert (done.returncode, message in done.stderr, done.stdout) == (status, True, ""), done.stderr


def test_a_step_that_has_to_wait_ends_with_status_3(project: Path, command: Command) -> None:
    take(project, 5)
    for words in ("next", "next --execute"):
        done = command(words, status=3)
        assert "the step retire has to wait. The field size is still in the model shop.Item" in done.stderr
    assert steps()[-1] == "switch by ada"


def test_the_old_column_is_retired_and_dropped(project: Path, command: Command) -> None:
    take(project, 5)
    (project / "shop/models.py").write_text(MODELS.format(old="", new=NEW))
    assert "writes its migration into the app shop" in command("next").stdout
    assert "Wrote the migration shop/migrations/0004_size_v2_retire.py" in command("next --execute").stdout
    assert run_in_project(project, "manage.py", "makemigrations", "--check").returncode == 0
    take(project, 1)
    columns = (
        "SELECT string_agg(attname, ' ' ORDER BY attnum) FROM pg_attribute WHERE attrelid = %s::regclass"
    )
    columns += " AND attnum > 0 AND NOT attisdropped"
    assert execute(columns, "shop_item") == [("id title size__retired size_v2",)]
    command("back --execute --as bob")
    assert execute(columns, "shop_item") == [("id title size size_v2",)]
    take(project, 1)
    assert steps()[-3:] == ["retire by ada", "back from retire by bob", "retire by ada"]
    assert "Wrote the migration shop/migrations/0005_size_v2_drop.py" in command("next --execute").stdout
    assert "No verified backup began after it was retired" in command("next", status=3).stderr
    execute(
        "INSERT INTO ops_column_change_event (change, step, performed_by) VALUES ('size_v2', 'drop', 'x')"
    )
    message = "The old column of size_v2 was dropped. It comes back only by restoring a backup."
    assert message in command("back", status=1).stderr
    execute("DELETE FROM ops_column_change_event WHERE step = 'drop'")
    assert run_in_project(project, "manage.py", "makemigrations", "--check").returncode == 0


def test_a_backfill_that_was_interrupted_goes_on(project: Path, command: Command) -> None:
    execute("INSERT INTO shop_item (title, size) SELECT 't', 'big' FROM generate_series(1, 60000)")
    take(project, 1)
    for number, end in ((signal.SIGINT, 130), (signal.SIGKILL, -signal.SIGKILL)):
        process = start_in_project(project, "manage.py", "column_change", "size_v2", "next", "--execute")
        done = execute("SELECT count(size_v2) FROM shop_item")
        wait_until(lambda done=done: execute("SELECT count(size_v2) FROM shop_item") > done)
        process.send_signal(number)
        process.communicate()
        assert (process.returncode, steps()) == (end, ["expand by ada"])
    assert "continues run 1, which is " in command("next").stdout
    take(project, 1)
    assert steps() == ["expand by ada", "backfill by ada"]
    assert execute("SELECT count(*) FROM shop_item WHERE size_v2 IS NULL") == [(0,)]
    assert execute("SELECT id FROM ops_run") == [(1,)]


def test_a_run_that_somebody_started_otherwise_counts(project: Path, command: Command) -> None:
    take(project, 1)
    done = run_in_project(project, "manage.py", "operate", "backfill_size_v2", "--execute")
    assert done.stdout.endswith("To go on with the column change: manage.py column_change size_v2 next\n")
    assert "records that run 1 has done it" in command("next").stdout
    take(project, 1)
    assert execute("SELECT run_id FROM ops_column_change_event WHERE step = 'backfill'") == [(1,)]
    assert execute("SELECT id FROM ops_run") == [(1,)]


def test_a_run_on_the_workers_is_left_to_them(project: Path, command: Command) -> None:
    take(project, 1)
    script = "from ops.runs.creation import *; from ops.operations.registry import get_operation as get;"
    script += "create_run(RunRequest(get('backfill_size_v2'), 'ada', workers=2))"
    setup = "import os; os.environ['DJANGO_SETTINGS_MODULE'] = 'settings'; import django; django.setup();"
    assert run_in_project(project, "-c", setup + script).returncode == 0
    execute("UPDATE ops_run SET state = 'running', working_since = now()")
    execute("UPDATE ops_lane SET finished = true")  # a run at its checks is never regarded as stalled
    message = command("next --execute", status=1).stderr
    assert "Run 1 (backfill_size_v2) is on the workers: let it end, and take the step then." in message


def test_a_reverted_backfill_is_made_again(project: Path, command: Command) -> None:
    take(project, 2)
    assert run_in_project(project, "manage.py", "runs", "revert", "1", "--execute").returncode == 0
    assert "records that run 2 has done it" in command("back").stdout
    command("back --execute --as bob")
    assert "would change  40 items" in command("next").stdout
    take(project, 1)
    assert execute("SELECT run_id FROM ops_column_change_event ORDER BY id") == [(None,), (1,), (2,), (3,)]


def test_a_backfill_that_the_change_relies_on_is_not_reverted(project: Path, command: Command) -> None:
    take(project, 5)
    done = run_in_project(project, "manage.py", "runs", "revert", "1", "--execute")
    assert (done.returncode, done.stderr) == (
        2,
        "CommandError: Run 1 cannot be reverted: the column change size_v2 relies on its values. If size_v2"
        " has not been dropped, take its steps back to backfill first:"
        " manage.py column_change size_v2 back.\n",
    )
    take(project, 3, "back")
    assert "size_v2: big -> NULL" in command("back").stdout


def test_code_without_the_old_field_cannot_fill_the_new_one(project: Path, command: Command) -> None:
    take(project, 1)
    (project / "shop/models.py").write_text(MODELS.format(old="", new=NEW))
    command("next --execute")
    message = command("next --execute", status=1).stderr
    assert "shop.Item has no field size in this code any more, so the step backfill cannot" in message


def test_rows_that_get_new_value_leaves_empty_are_named(project: Path, command: Command) -> None:
    execute("UPDATE shop_item SET size = 'odd' WHERE id IN (3, 9)")
    take(project, 1)
    value = """    def get_new_value(self):
        from django.db.models import Value
        from django.db.models.functions import NullIf
        return NullIf("size", Value("odd"))
    def get_old_value(self):
        return None
"""
    (project / "shop/operations.py").write_text(CHANGE + value)
    assert command("next --execute", status=1).stderr == (
        "CommandError: get_new_value() of size_v2 gives NULL for 2 items, such as 3, 9: size_v2 would stay"
        " empty there. Give them another size: manage.py column_change size_v2 next. Or take expand back,"
        " correct get_new_value(), and plan again: manage.py column_change size_v2 back\n"
    )
    execute("UPDATE shop_item SET size = 'big'")
    command("next --execute")


def test_rows_that_differ_fail_verify_and_are_named(project: Path, command: Command) -> None:
    take(project, 2)
    execute(
        "SELECT set_config('ops.dual_write', 'off', false); UPDATE shop_item SET size_v2 = 'x' WHERE id = 7"
    )
    done = command("next --execute", status=1)
    assert "FAILED  items whose size_v2 differs from size: 1, such as 7" in done.stdout
    assert len(steps()) == 2


def test_a_second_command_is_told_who_takes_the_step(project: Path, command: Command) -> None:
    url = urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{DATABASE}").geturl()
    with psycopg.connect(url, autocommit=True, application_name="column_change by eve") as other:
        other.execute("SELECT pg_advisory_lock(hashtext('ops_column_change'), hashtext('size_v2'))")
        done = command("next --execute", status=1)
        assert "Another command is taking a step of size_v2 now (column_change by eve, process " in (
            done.stderr
        )
        command("next")
    take(project, 1)


def test_of_commands_at_once_one_takes_the_step(project: Path, command: Command) -> None:
    take(project, 4)
    processes = [
        start_in_project(project, "manage.py", "column_change", "size_v2", "next", "--execute")
        for _ in range(3)
    ]
    errors = [process.communicate()[1] for process in processes]
    assert sum(process.returncode == 0 for process in processes) == 1, errors
    assert len(steps()) == 5


def test_a_step_is_not_recorded_where_the_change_has_moved(project: Path, command: Command) -> None:
    """Behind a pooler, or where the server restarts, there is no lock: the log decides."""
    take(project, 4)
    script = """
import os
os.environ["DJANGO_SETTINGS_MODULE"] = "settings"
import django
django.setup()
from ops.column_changes import registry
from ops.column_changes.taking.actions import next_action
from ops.column_changes.taking.status import read_status
from ops.column_changes.taking.recording import StepInProgress, record
action = next_action(read_status(registry.get_change("size_v2")))
record(action, "ada")
try:
    record(action, "bob")
except StepInProgress as exc:
    print(exc)
"""
    done = run_in_project(project, "-c", script)
    assert "size_v2 to another step meanwhile, so the step switch was not recorded." in done.stdout, (
        done.stderr
    )
    assert steps()[4:] == ["switch by ada"]


def test_expand_is_not_taken_back_under_a_run(project: Path, command: Command) -> None:
    take(project, 1)
    execute("CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE disk_full; END'")
    execute("CREATE TRIGGER fail BEFORE UPDATE ON shop_item FOR EACH ROW EXECUTE FUNCTION fail()")
    command("next --execute", status=1)
    execute("DROP TRIGGER fail ON shop_item")
    run_in_project(project, "manage.py", "runs", "resume", "1", "--queue")
    assert "Run 1 (backfill_size_v2, queued) writes the column" in command("back", status=1).stderr


def test_what_was_migrated_later_is_not_taken_back_with_it(project: Path, command: Command) -> None:
    take(project, 4)
    text = "from django.db import migrations\n\nclass Migration(migrations.Migration):\n"
    text += "    dependencies = [('shop', '0003_size_v2_constrain')]\n"
    (project / "shop/migrations/0004_later.py").write_text(text)
    assert run_in_project(project, "manage.py", "migrate").returncode == 0
    message = command("back", status=1).stderr
    assert "shop.0004_later was applied after shop.0003_size_v2_constrain, and would be" in message
    assert "manage.py migrate shop 0002_size_v2_expand" in message


def test_where_there_is_nothing_to_constrain_the_step_is_recorded(project: Path, command: Command) -> None:
    for path in (project / "shop/migrations").glob("000[23]*"):
        path.unlink()
    (project / "shop/models.py").write_text(
        MODELS.format(old=OLD, new=NEW.replace("db_default", "null=True, db_default"))
    )
    command("plan")
    assert [path.name for path in (project / "shop/migrations").glob("0002*")] == ["0002_size_v2_expand.py"]
    told = take(project, 5)
    assert "records the step: size_v2 has no constraints or indexes to add" in told
    assert steps() == [f"{name} by ada" for name in ("expand", "backfill", "verify", "constrain", "switch")]


def test_a_faked_migration_has_taken_no_step(project: Path, command: Command) -> None:
    assert run_in_project(project, "manage.py", "migrate", "shop", "0002", "--fake").returncode == 0
    assert "has not recorded the step expand: was it faked?" in command("next", status=1).stderr


def test_a_step_whose_migration_was_faked_away_is_not_taken_back(project: Path, command: Command) -> None:
    take(project, 4)
    assert run_in_project(project, "manage.py", "migrate", "shop", "0002", "--fake").returncode == 0
    message = command("back --execute", status=1).stderr
    assert "its migration shop.0003_size_v2_constrain is not recorded as applied: was it faked?" in message
    assert run_in_project(project, "manage.py", "migrate", "shop", "0003", "--fake").returncode == 0
    command("back --execute")


def test_nothing_before_a_step_that_is_half_done_is_taken_back(project: Path, command: Command) -> None:
    take(project, 3)
    execute("UPDATE shop_item SET size_v2 = NULL WHERE id = 7")
    assert "rows do not fit" in command("next --execute", status=1).stderr
    assert "The step constrain was begun, and is not complete" in command("back", status=1).stderr
    gone = run_in_project(project, "manage.py", "migrate", "shop", "0001")
    assert (gone.returncode, gone.stderr.splitlines()[-1]) == (
        1,
        "CommandError: A part of shop.0003_size_v2_constrain is in the database, and needs"
        " shop.0002_size_v2_expand. Complete it before you go back:"
        " manage.py migrate shop 0003_size_v2_constrain",
    )
    execute("UPDATE shop_item SET size_v2 = size")
    command("next --execute")
    command("back --execute")


def test_what_is_left_of_a_way_back_is_taken_back(project: Path, command: Command) -> None:
    for path in (project / "shop/migrations").glob("000[23]*"):
        path.unlink()
    indexed = NEW.replace("db_default", "db_index=True, db_default")
    (project / "shop/models.py").write_text(MODELS.format(old=OLD, new=indexed))
    command("plan")
    take(project, 4)
    url = urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{DATABASE}").geturl()
    with psycopg.connect(url) as player:
        player.execute("SELECT FROM shop_item LIMIT 1")
        back = start_in_project(project, "manage.py", "column_change", "size_v2", "back", "--execute")
        wait_until(lambda: steps()[-1].startswith("back from constrain"))
        back.kill()
        back.communicate()
    assert "The step constrain was taken back in part." in command("next", status=1).stderr
    command("back --execute")
    assert execute("SELECT count(*) FROM pg_indexes WHERE tablename = 'shop_item'") == [(1,)]
    command("next --execute")


def test_readers_do_not_switch_to_rows_that_were_loaded_unfilled(project: Path, command: Command) -> None:
    for path in (project / "shop/migrations").glob("000[23]*"):
        path.unlink()
    indexed = NEW.replace("db_default", "db_index=True, null=True, db_default")
    (project / "shop/models.py").write_text(MODELS.format(old=OLD, new=indexed))
    command("plan")
    execute("TRUNCATE shop_item")
    assert run_in_project(project, "manage.py", "migrate").returncode == 0
    execute("SET ops.dual_write = off; INSERT INTO shop_item (title, size) VALUES ('t', 'big')")
    assert "and rows lack size_v2. Fill them first" in command("next --execute", status=1).stderr
    assert run_in_project(project, "manage.py", "operate", "backfill_size_v2", "--execute").returncode == 0
    command("next --execute")
