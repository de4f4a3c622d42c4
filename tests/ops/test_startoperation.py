"""``startoperation`` writes an operation that runs and a test that passes, and changes nothing else."""

import os
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg import sql

from tests.manage import ROOT

Run = Callable[..., subprocess.CompletedProcess[str]]

SETTINGS = """
SECRET_KEY = "shop"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
INSTALLED_APPS = ["django.contrib.contenttypes", "django.contrib.auth", "pgtrigger", "ops", "shop"]
DATABASES = {{"default": {{"ENGINE": "django.db.backends.postgresql", **{database}}}}}
"""
MODELS = """
from django.db import models

class Order(models.Model):
    number = models.CharField(max_length=10, unique=True)
    note = models.TextField()
    net = models.IntegerField()

class Stock(models.Model):
    place = models.CharField(max_length=10)
    amount = models.IntegerField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["place"], name="one_a_place")]

class Token(models.Model):
    value = models.UUIDField()
"""
MANAGE = """
import os, sys
os.environ["DJANGO_SETTINGS_MODULE"] = "settings"
from django.core.management import execute_from_command_line
execute_from_command_line(sys.argv)
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    url = urlsplit(os.environ["DATABASE_URL"])
    database = {
        "NAME": f"startoperation_{os.getpid()}",
        "USER": url.username,
        "PASSWORD": url.password,
        "HOST": url.hostname,
        "PORT": url.port,
    }
    files = {
        "manage.py": MANAGE,
        "settings.py": SETTINGS.format(database=database),
        "pytest.ini": "[pytest]\nDJANGO_SETTINGS_MODULE = settings\n",
        "shop/__init__.py": "",
        "shop/models.py": MODELS,
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(textwrap.dedent(text))
    return tmp_path


@pytest.fixture
def python(project: Path) -> Run:
    """Run Python in the project, with what a shell would give it."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "DJANGO"))}
    env["PYTHONPATH"] = f"{project}{os.pathsep}{ROOT}"

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, *words]
        return subprocess.run(command, cwd=project, env=env, capture_output=True, text=True, check=False)

    return run


@pytest.fixture
def test_database() -> Iterator[None]:
    yield
    name = sql.Identifier(f"test_startoperation_{os.getpid()}")
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as server:
        server.execute(sql.SQL("DROP DATABASE IF EXISTS {}").format(name))


def files(project: Path) -> dict[str, str]:
    return {str(path.relative_to(project)): path.read_text() for path in project.rglob("*.py")}


@pytest.mark.long
@pytest.mark.usefixtures("test_database")
def test_the_tests_that_it_writes_pass(project: Path, python: Run) -> None:
    for words in ("shop.Order lower_notes", "shop.Stock no_debts", "shop.Order order --field net"):
        done = python("manage.py", "startoperation", *words.split())
        assert (done.returncode, done.stderr) == (0, "")
    assert python("manage.py", "check", "--fail-level", "WARNING").returncode == 0
    done = python("-m", "pytest", "-q", "-p", "no:cacheprovider", "shop")
    assert "3 passed" in done.stdout, done.stdout + done.stderr


def test_the_first_operation_of_an_app_is_ten_lines(project: Path, python: Run) -> None:
    done = python("manage.py", "startoperation", "shop.order", "lower_notes")
    assert (project / "shop/operations.py").read_text() == textwrap.dedent('''\
        from django.db.models.functions import Lower
        from ops.operations import Operation, register
        from shop.models import Order


        @register
        class LowerNotes(Operation):
            """Say in one line what it does: this is its help text."""

            name = "lower_notes"
            model = Order

            def get_queryset(self):
                return Order.objects.exclude(note=Lower("note"))  # the rows that still need the change

            def get_changes(self):
                return {"note": Lower("note")}
        ''')
    lines = done.stdout.splitlines()
    assert lines[:2] == [
        "Wrote the operation lower_notes into shop/operations.py",
        "  and a test that passes into shop/test_lower_notes.py",
    ]
    assert lines[-1].endswith("manage.py operate lower_notes")


def test_a_module_that_is_there_keeps_every_line_of_its_own(project: Path, python: Run) -> None:
    module = project / "shop/operations.py"
    before = '"""Ours."""\n\nimport os\n\nfrom ops.operations import Operation\n\nHERE = os.curdir\n'
    module.write_text(before)
    assert python("manage.py", "startoperation", "shop.Stock", "no_debts").returncode == 0
    after = module.read_text().splitlines()
    assert [line for line in before.splitlines() if line not in after] == []
    assert after[5:7] == ["from ops.operations import register", "from shop.models import Stock"]
    assert after[-5:] == [
        "    def get_queryset(self):",
        "        return Stock.objects.filter(amount__lt=0)  # the rows that still need the change",
        "",
        "    def get_changes(self):",
        '        return {"amount": 0}',
    ]


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        ("shop.Oder x", 2, "There is no model 'shop.Oder'. Did you mean shop.Order?"),
        ("Order x", 2, "There is no model 'Order'. Did you mean shop.Order?"),
        ("shop.Order Lower", 1, "Error: 'Lower' is not a valid operation name. Use lower-case letters, "),
        ("shop.Order ../x", 1, "Error: '../x' is not a valid operation name. Use "),
        ("shop.Order revert", 1, "There is an operation revert already. To preview it: "),
        ("shop.Order x --field number", 2, "--field number: shop.Order has no such column, or it cannot"),
        ("shop.Token x", 2, "shop.Token has no column with text or whole numbers that is not unique."),
        ("auth.User x", 1, "auth is installed in "),
    ],
)
def test_a_request_that_cannot_be_met_is_refused_in_a_line(
    project: Path, python: Run, words: str, status: int, message: str
) -> None:
    before = files(project)
    done = python("manage.py", "startoperation", *words.split())
    assert (done.returncode, len(done.stderr.splitlines()), message in done.stderr) == (status, 1, True)
    assert files(project) == before


@pytest.mark.parametrize("there", ["shop/test_x.py", "shop/operations.py"])
def test_nothing_that_is_there_is_overwritten(project: Path, python: Run, there: str) -> None:
    (project / there).write_text("class X:\n    pass\n")
    before = files(project)
    done = python("manage.py", "startoperation", "shop.Order", "x")
    assert (done.returncode, "choose another name" in done.stderr) == (1, True)
    assert files(project) == before
