"""``startoperation`` writes an operation that runs and a test that passes, and changes nothing else."""

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

Run = Callable[..., subprocess.CompletedProcess[str]]

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

class Remark(models.Model):
    text = models.TextField(null=True)

class Token(models.Model):
    value = models.UUIDField()

class Pallet(Stock):
    class Meta:
        proxy = True

class Legacy(models.Model):
    note = models.TextField()

    class Meta:
        managed = False

class LegacyProxy(Legacy):
    class Meta:
        proxy = True

class Operation(models.Model):
    note = models.TextField()

class Lower(models.Model):
    note = models.TextField()

class register(models.Model):
    note = models.TextField()

class Warehouse(models.Model):
    note = models.TextField()
    kept = models.Manager()
    orders = models.ManyToManyField(Order)

class Moment(models.Model):
    at = models.DateTimeField(primary_key=True)
    note = models.TextField()
"""
LOWER = 'exclude(note=Lower("note"))  # the rows that still need the change'


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
    ini = "[pytest]\nDJANGO_SETTINGS_MODULE = settings\n"
    return write_project(tmp_path, database, {"pytest.ini": ini, "shop/models.py": MODELS})


@pytest.fixture
def python(project: Path) -> Run:
    """Run Python in the project."""
    return partial(run_in_project, project)


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


def test_rows_without_a_value_do_not_need_the_change(project: Path, python: Run) -> None:
    """Django's exclude() keeps them, and the run would never end."""
    assert python("manage.py", "startoperation", "shop.Remark", "lower_remarks").returncode == 0
    rows = 'Remark.objects.filter(text__isnull=False).exclude(text=Lower("text"))'
    assert rows in (project / "shop/operations.py").read_text()


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
        ("shop.Order x --field number", 2, "--field number: shop.Order has no such field, or it cannot"),
        ("shop.Token x", 2, "shop.Token has no field with text or whole numbers that is not unique."),
        ("auth.User x", 1, "auth is installed in "),
        ("shop.Legacy x", 1, "shop.Legacy is not managed by Django (managed = False), so a test database"),
        ("shop.LegacyProxy x", 1, "shop.LegacyProxy is not managed by Django"),
        ("shop.Warehouse_orders x", 1, "shop.Warehouse_orders cannot be imported from shop.models."),
        ("shop.Moment x", 1, "x: shop.Moment has a DateTimeField as primary key;"),
    ],
)
def test_a_request_that_cannot_be_met_is_refused_in_a_line(
    project: Path, python: Run, words: str, status: int, message: str
) -> None:
    before = files(project)
    done = python("manage.py", "startoperation", *words.split())
    assert (done.returncode, len(done.stderr.splitlines()), message in done.stderr) == (status, 1, True)
    assert files(project) == before


def test_nothing_that_is_there_is_overwritten(project: Path, python: Run) -> None:
    (project / "shop/test_x.py").write_text("class X:\n    pass\n")
    before = files(project)
    done = python("manage.py", "startoperation", "shop.Order", "x")
    assert (done.returncode, "choose another name" in done.stderr) == (1, True)
    assert files(project) == before


@pytest.mark.parametrize(
    ("module", "words", "lines"),
    [
        ("from ops.operations import Check\n", "shop.Stock check", ["class CheckOperation(Operation):"]),
        ("import os as X\n", "shop.Stock x", ["class XOperation(Operation):"]),
        ("if True:\n    X = 1\n", "shop.Stock x", ["class XOperation(Operation):"]),
        ("class X:\n    Y = 1\n", "shop.Stock y", ["class Y(Operation):"]),
        ("from shop.models import *\n", "shop.Stock token", ["class TokenOperation(OpsOperation):"]),
        ("", "shop.Stock none", ["class NoneOperation(Operation):"]),
        ("", "shop.Stock true", ["class TrueOperation(Operation):"]),
        ("", "shop.Stock warning", ["class WarningOperation(Operation):"]),
        (
            "Stock = 1\n",
            "shop.Stock x",
            ["from shop.models import Stock as StockModel", "    model = StockModel"],
        ),
        ("from .models import Stock\n", "shop.Stock x", ["from .models import Stock", "    model = Stock"]),
        ("from .models import Stock as S\n", "shop.Stock x", ["    model = S"]),
        ("def register(): ...\n", "shop.Stock x", ["@register_operation"]),
        ("", "shop.Operation x", ["from shop.models import Operation as OperationModel"]),
        ("", "shop.Lower x", ["from shop.models import Lower as LowerModel"]),
        ("", "shop.register x", ["from shop.models import register as registerModel"]),
        ("", "shop.Warehouse x", [f"        return Warehouse.kept.{LOWER}"]),
        (
            "",
            "shop.Pallet x",
            ["        return Pallet.objects.filter(amount__lt=0)  # the rows that still need the change"],
        ),
    ],
)
def test_a_name_that_is_in_use_is_not_bound_again(
    project: Path, python: Run, module: str, words: str, lines: list[str]
) -> None:
    (project / "shop/operations.py").write_text(module)
    done = python("manage.py", "startoperation", *words.split())
    assert (done.returncode, done.stderr) == (0, "")
    text = (project / "shop/operations.py").read_text()
    assert [line for line in lines if text.splitlines().count(line) != 1] == [], text
    checked = python("manage.py", "check", "--fail-level", "WARNING")
    assert checked.returncode == 0, checked.stderr


@pytest.mark.parametrize(
    ("before", "start"),
    [
        ("# Licence\n# of ours\n", "# Licence\n# of ours\n\nfrom ops"),
        ("#!/usr/bin/env python\n\nHERE = 1\n", "#!/usr/bin/env python\n\nfrom ops"),
        ('# Licence\n"""Ours."""\n', '# Licence\n"""Ours."""\n\nfrom ops'),
        ('import os; X = """\na\n"""\n', 'import os; X = """\na\n"""\nfrom ops'),
        ('X = "\u2028\x0c"\nimport os\n', 'X = "\u2028\x0c"\nimport os\nfrom ops'),
        (
            "import os\r\nX = 1\r\n",
            "import os\r\nfrom ops.operations import Operation, register\r\nfrom shop",
        ),
        ("# coding: latin-1\nX = 'é'\n", "# coding: latin-1\n\nfrom ops"),
        ("\ufeffX = 'é'\n", "\ufefffrom ops"),
        ("X = 1", "from ops"),
    ],
)
def test_the_file_keeps_its_encoding_and_its_line_ends(
    project: Path, python: Run, before: str, start: str
) -> None:
    path, encoding = project / "shop/operations.py", "latin-1" if "latin-1" in before else "utf-8"
    path.write_bytes(before.encode(encoding))
    done = python("manage.py", "startoperation", "shop.Stock", "no_debts")
    assert (done.returncode, done.stderr) == (0, "")
    after = path.read_bytes().decode(encoding)
    assert after[: len(start)] == start
    assert after.count("\r\n") in (0, after.count("\n"))
    kept = [line.strip("\ufeff\r") for line in before.rstrip("\n").split("\n")]
    assert set(kept) <= {line.strip("\ufeff\r") for line in after.split("\n")}
    assert python("manage.py", "check", "--fail-level", "WARNING").returncode == 0


@pytest.mark.parametrize(
    ("path", "content", "message"),
    [
        ("operations.py", b"class X: ...\nXOperation = 1\n", "operations.py, line 2: XOperation = 1"),
        ("operations.py", b"X = '\xe9'\n", "operations.py cannot be read: "),
        ("operations.py", b"# coding: none\n", "operations.py cannot be read: unknown encoding"),
        ("operations.py", b"# coding: rot13\n", "operations.py cannot be read: "),
        ("operations.py", b"x = (\n", "operations.py cannot be parsed (line 1: "),
        ("operations.py/x", b"", "operations.py is not a file: move it away first."),
        ("operations/__init__.py", b"", "write the operation by hand into "),
        ("operations/cards.py", b"", "write the operation by hand into "),
    ],
)
def test_a_module_that_cannot_be_rewritten_is_refused_in_a_line(
    project: Path, python: Run, path: str, content: bytes, message: str
) -> None:
    place = project / "shop" / path
    place.parent.mkdir(exist_ok=True)
    place.write_bytes(content)
    done = python("manage.py", "startoperation", "shop.Stock", "x")
    assert (done.returncode, message in done.stderr) == (1, True), done.stderr
    assert (len(done.stderr.splitlines()), place.read_bytes()) == (1, content)
    assert not list(project.rglob("test_x.py"))


@pytest.mark.parametrize("target", ["real.py", "missing.py"])
@pytest.mark.parametrize("link", ["operations.py", "test_x.py"])
def test_a_symbolic_link_is_never_replaced(project: Path, python: Run, link: str, target: str) -> None:
    (project / "shop/real.py").write_text("")
    (project / "shop" / link).symlink_to(target)
    done = python("manage.py", "startoperation", "shop.Stock", "x")
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
    assert "--overwrite" not in done.stderr
    assert ((project / "shop" / link).readlink(), (project / "shop/real.py").read_text()) == (
        Path(target),
        "",
    )


def test_the_help_of_field_says_field(python: Run) -> None:
    assert "The field that it writes" in python("manage.py", "startoperation", "--help").stdout
