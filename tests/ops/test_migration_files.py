"""Migration files are numbered after the newest of their app, and written all or none."""

import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.other_project import run_in_project, write_project

MODELS = """
from django.db import models

class Order(models.Model):
    note = models.TextField()
"""
INITIAL = """
from django.db import migrations, models

class Migration(migrations.Migration):
    initial = True
    dependencies = {dependencies}
    operations = {operations}
"""
CREATE = """[migrations.CreateModel("Order", [
    ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
    ("note", models.TextField())])]"""
FIRST = INITIAL.format(dependencies=[], operations=CREATE)
WRITE = """
import django
django.setup()
from datetime import timedelta
from django.db import migrations
from ops.exceptions import OpsError
from ops.column_changes.planning.migration_files import *
from ops.column_changes.migration_operations import Gate, RecordStep

def write(app="shop", suffix="wide_expand", **options):
    operations = [RecordStep("wide", "expand"), Gate("wide", "retire", "order", wait=timedelta(hours=48))]
    return write_migration(app, suffix, operations, [("auth", "0001_initial")], **options)

try:
{script}
except OpsError as exc:
    print(type(exc).__name__, exc)
"""
Run = Callable[[str], str]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    files = {"shop/models.py": MODELS, "shop/migrations/__init__.py": "", "shop/migrations/0001_a.py": FIRST}
    (tmp_path / "shop").mkdir()
    return write_project(tmp_path, {"NAME": "nowhere", "HOST": "nowhere.invalid"}, files)


@pytest.fixture
def run(project: Path) -> Run:
    """Run a script in the project; no database is needed."""
    environment = "import os; os.environ['DJANGO_SETTINGS_MODULE'] = 'settings'\n"

    def run(script: str) -> str:
        text = WRITE.format(script=textwrap.indent(textwrap.dedent(script), "    "))
        done = run_in_project(project, "-c", environment + text)
        assert done.stderr == ""
        return done.stdout

    return run


def names(project: Path) -> list[str]:
    return sorted(path.name for path in (project / "shop/migrations").iterdir() if path.is_file())


def test_files_follow_each_other_and_can_be_loaded_again(project: Path, run: Run) -> None:
    shown = run("""
        write()
        print(write(suffix="wide_constrain").name)
        second = load_migrations("shop").get_migration("shop", "0003_wide_constrain")
        print(second.dependencies)
        print([operation.deconstruct()[1:] for operation in second.operations])
        """)
    assert shown.splitlines() == [
        "0003_wide_constrain.py",
        "[('auth', '0001_initial'), ('ops', '0016_column_changes'), ('shop', '0002_wide_expand')]",
        "[((), {'change': 'wide', 'step': 'expand'}),"
        " ((), {'change': 'wide', 'step': 'retire', 'model_name': 'order',"
        " 'wait': datetime.timedelta(days=2)})]",
    ]
    assert names(project) == ["0001_a.py", "0002_wide_expand.py", "0003_wide_constrain.py", "__init__.py"]


def test_if_one_file_is_there_already_none_is_written(project: Path, run: Run) -> None:
    shown = run("""
        import pathlib
        loader = load_migrations("shop")
        pathlib.Path("shop/migrations/0003_wide_constrain.py").touch()
        first = build_migration(loader, "shop", "wide_expand", [])
        second = build_migration(loader, "shop", "wide_constrain", [], after=first)
        write_migrations([first, second])
        """)
    assert shown.startswith("MigrationNotWritten ")
    assert shown.endswith("/shop/migrations/0003_wide_constrain.py cannot be written: File exists.\n")
    assert names(project) == ["0001_a.py", "0003_wide_constrain.py", "__init__.py"]


def test_a_merge_is_asked_for_in_words(project: Path, run: Run) -> None:
    (project / "shop/migrations/0002_b.py").write_text(INITIAL.format(dependencies=[], operations=[]))
    message = "The app shop has 2 newest migrations: 0001_a, 0002_b. Merge them: manage.py makemigrations"
    assert run("write()") == f"MigrationNotWritten {message} --merge\n"


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ('write("auth")', "auth is installed in "),
        ('write("nothing")', "The app nothing has no migrations. Write the first one: "),
    ],
)
def test_where_no_file_belongs_none_is_written(project: Path, run: Run, script: str, message: str) -> None:
    assert message in run(script)
    assert names(project) == ["0001_a.py", "__init__.py"]
