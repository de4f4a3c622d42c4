"""``startchange`` writes a change that can be planned and a test that passes, and changes nothing else."""

import os
import subprocess
import textwrap
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg import sql

from tests.other_project import run_in_project, write_project

Run = Callable[..., "subprocess.CompletedProcess[str]"]
DATABASE = f"startchange_{os.getpid()}"
MODELS = """
from django.db import models

class Order(models.Model):
    number = models.CharField(max_length=10, unique=True)
    note = models.CharField(
        max_length=10,
        default="none",
    )
    note_v2 = models.CharField(max_length=20, db_default="none")
    total = models.IntegerField()
    total_v2 = models.BigIntegerField(null=True)
    friends = models.ManyToManyField("self")
    doubled = models.GeneratedField(
        expression=models.F("total") * 2, output_field=models.IntegerField(), db_persist=True
    )

class Line(models.Model):
    id = models.AutoField(primary_key=True)
    key = models.BigIntegerField(blank=True, editable=False)

class Legacy(models.Model):
    note = models.TextField()

    class Meta:
        managed = False
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    url = urlsplit(os.environ["DATABASE_URL"])
    keys = ("NAME", "USER", "PASSWORD", "HOST", "PORT")
    values = (DATABASE, url.username, url.password, url.hostname, url.port)
    ini = "[pytest]\nDJANGO_SETTINGS_MODULE = settings\n"
    return write_project(
        tmp_path, dict(zip(keys, values, strict=True)), {"pytest.ini": ini, "shop/models.py": MODELS}
    )


@pytest.fixture
def python(project: Path) -> Run:
    """Run Python in the project."""
    return partial(run_in_project, project)


@pytest.fixture
def databases() -> Iterator[None]:
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as server:
        server.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(DATABASE)))
        yield
        for name in (DATABASE, f"test_{DATABASE}"):
            server.execute(sql.SQL("DROP DATABASE IF EXISTS {}").format(sql.Identifier(name)))


def files(project: Path) -> dict[str, str]:
    return {str(path.relative_to(project)): path.read_text() for path in project.rglob("*.py")}


def test_a_change_is_ten_lines(project: Path, python: Run) -> None:
    done = python("manage.py", "startchange", "shop.order", "note")
    assert (done.returncode, done.stderr) == (0, "")
    assert (project / "shop/operations.py").read_text() == textwrap.dedent('''\
        from ops.column_changes import ColumnChange, register_change
        from shop.models import Order


        @register_change
        class NoteV2(ColumnChange):
            """Say in one line what changes: from note to note_v2."""

            name = "note_v2"
            model = Order
            old = "note"
            new = "note_v2"
        ''')
    assert done.stdout == textwrap.dedent("""\
        Wrote the change note_v2 into shop/operations.py
          and a test that passes into shop/test_note_v2.py

        What to do next:
          1. If the values differ, say how each becomes the other: docs/column-changes.md
          2. Write the migrations: manage.py column_change note_v2 plan
          3. Create rows in the test, and run it.
          4. Preview the first step, which writes nothing: manage.py column_change note_v2 next
        """)


def test_the_change_of_a_key_says_what_it_needs(project: Path, python: Run) -> None:
    done = python("manage.py", "startchange", "shop.Line", "id", "key")
    assert (done.returncode, done.stderr) == (0, "")
    written = (project / "shop/operations.py").read_text()
    assert '    new = "key"\n    swap = True\n    unmappable = "keep"  # a key that does not fit' in written
    assert python("manage.py", "check", "--fail-level", "WARNING").returncode == 0


@pytest.mark.long
@pytest.mark.usefixtures("databases")
def test_what_it_says_to_type_next_works(project: Path, python: Run) -> None:
    models = (project / "shop/models.py").read_text()
    (project / "shop/models.py").write_text(models.replace("    note_v2 = ", "    # note_v2 = "))
    for words in (("makemigrations", "shop"), ("migrate",)):
        assert python("manage.py", *words).returncode == 0
    (project / "shop/models.py").write_text(models)
    for words in (
        ("startchange", "shop.Order", "note"),
        ("check", "--fail-level", "WARNING"),
        ("column_change", "note_v2", "plan"),
        ("makemigrations", "--check"),
    ):
        done = python("manage.py", *words)
        assert done.returncode == 0, done.stdout + done.stderr
    done = python("-m", "pytest", "-q", "-p", "no:cacheprovider", "shop")
    assert "1 passed" in done.stdout, done.stdout + done.stderr
    assert "the step expand: " in python("manage.py", "column_change", "note_v2", "next").stdout


@pytest.mark.long
@pytest.mark.usefixtures("databases")
def test_a_removal_is_nine_lines_and_what_it_says_works(project: Path, python: Run) -> None:
    for words in (("makemigrations", "shop"), ("migrate",)):
        assert python("manage.py", *words).returncode == 0
    done = python("manage.py", "startchange", "shop.Order", "note", "--remove")
    assert (done.returncode, done.stderr) == (0, "")
    assert (project / "shop/operations.py").read_text() == textwrap.dedent('''\
        from ops.column_changes import ColumnRemoval, register_change
        from shop.models import Order


        @register_change
        class RemoveNote(ColumnRemoval):
            """Say in one line why note is not needed any more."""

            name = "remove_note"
            model = Order
            old = "note"
        ''')
    assert done.stdout == textwrap.dedent("""\
        Wrote the change remove_note into shop/operations.py
          and a test that passes into shop/test_remove_note.py

        What to do next:
          1. Write the migration of the first step: manage.py column_change remove_note plan
          2. Preview the first step, which writes nothing: manage.py column_change remove_note next
          3. After that step, remove note from the model and from all code. Then see what comes next: \
manage.py column_change remove_note
        """)
    for words in (
        ("check", "--fail-level", "WARNING"),
        ("column_change", "remove_note", "plan"),
        ("makemigrations", "--check"),
    ):
        done = python("manage.py", *words)
        assert done.returncode == 0, done.stdout + done.stderr
    assert "the step expand: " in python("manage.py", "column_change", "remove_note", "next").stdout
    test = ("-m", "pytest", "-q", "-p", "no:cacheprovider", "shop")
    assert "1 passed" in python(*test).stdout
    models = (project / "shop/models.py").read_text()
    (project / "shop/models.py").write_text(
        models.replace("    note = models.CharField(", "    other = dict(")
    )
    assert "1 passed" in python(*test).stdout
    (project / "shop/code.py").write_text("def show(order):\n    return order.note\n")
    done = python(*test)
    assert "shop/code.py:2 note" in done.stdout, done.stdout


def test_a_second_change_keeps_the_first(project: Path, python: Run) -> None:
    for words in (("note",), ("total", "total_v2", "--name", "big_total")):
        done = python("manage.py", "startchange", "shop.Order", *words)
        assert (done.returncode, done.stderr) == (0, "")
    text = (project / "shop/operations.py").read_text()
    assert text.count("import") == 2
    assert "class NoteV2(ColumnChange)" in text
    assert "class BigTotal(ColumnChange)" in text
    assert {path.name for path in project.rglob("test_*.py")} == {"test_note_v2.py", "test_big_total.py"}


def test_the_field_to_add_is_told(project: Path, python: Run) -> None:
    before = files(project)
    done = python("manage.py", "startchange", "shop.Order", "note", "remark")
    assert (done.returncode, done.stderr) == (
        1,
        "CommandError: shop.Order has no field remark yet. Add it to the model as it shall be in the end, and"
        " type this command again. A field like note:\n"
        "    remark = models.CharField(max_length=10, default='none')\n",
    )
    assert files(project) == before


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        ("shop.Oder note", 2, "There is no model 'shop.Oder'. Did you mean shop.Order?"),
        ("shop.Order nte", 2, "shop.Order has no column 'nte' of its own. Did you mean note?"),
        ("shop.Order friends", 2, "shop.Order has no column 'friends' of its own."),
        ("shop.Order id", 2, "shop.Order.id is the primary key, of the type bigint: a column change"),
        ("shop.Line id --remove", 2, "shop.Line.id is the primary key, of the type integer: a column"),
        ("shop.Line id", 1, "    id_v2 = models.BigIntegerField(blank=True, editable=False)"),
        ("shop.Order doubled", 2, "shop.Order.doubled is generated: a column change does not support that."),
        ("shop.Order note doubled", 2, "shop.Order.doubled is generated"),
        ("shop.Order note note", 2, "note cannot replace itself: name another field."),
        ("shop.Order note no-te", 2, "'no-te' is not a name for a field."),
        ("shop.Order note note_v2 --remove", 2, "--remove takes no new field: leave out note_v2."),
        ("shop.Order doubled --remove", 2, "shop.Order.doubled is generated"),
        ("shop.Order note_v2", 1, "has no field note_v3 yet."),
        ("shop.Order note note_v2 --name A", 1, "'A' is not a valid operation name."),
        (f"shop.Order note note_v2 --name {'a' * 41}", 1, "has 41 characters; a column change may have 40"),
        ("auth.User email", 1, "has no field email_v2 yet."),
        ("shop.Legacy note", 1, "shop.Legacy is not managed by Django"),
    ],
)
def test_a_request_that_cannot_be_met_is_refused_in_words(
    project: Path, python: Run, words: str, status: int, message: str
) -> None:
    before = files(project)
    done = python("manage.py", "startchange", *words.split())
    assert (done.returncode, message in done.stderr, "Traceback" in done.stderr) == (
        status,
        True,
        False,
    ), done.stderr
    assert files(project) == before


def test_a_name_that_is_taken_is_refused(project: Path, python: Run) -> None:
    assert python("manage.py", "startchange", "shop.Order", "note").returncode == 0
    assert python("manage.py", "startoperation", "shop.Order", "backfill_total_v2").returncode == 0
    before = files(project)
    done = python("manage.py", "startchange", "shop.Order", "note")
    assert "There is a change note_v2 already. To see it: manage.py column_change note_v2" in done.stderr
    done = python("manage.py", "startchange", "shop.Order", "total")
    assert "There is an operation backfill_total_v2 already" in done.stderr
    assert files(project) == before
