"""``plan`` writes migrations that bring the tables to the models, and nothing else."""

import os
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg import sql

from tests.other_project import run_in_project, write_project

TEMPLATE = f"plan_template_{os.getpid()}"
DATABASE = f"plan_{os.getpid()}"
BEFORE = """
from django.db import models
from django.db.models import F, Q

class Owner(models.Model):
    pass

class Order(models.Model):
    level = models.CharField(max_length=8, db_default="low")
    code = models.IntegerField(db_default=7)
    note = models.CharField(max_length=8, null=True)
{fields}
    class Meta:
        indexes = []
        constraints = []
"""
OPERATIONS = """
from ops.column_changes import ColumnChange, register_change
from shop.models import Order

@register_change
class Wide(ColumnChange):
    name = "wide"
    model = Order
    new = "wide"
    {attributes}
"""
TRIAL = '''
import os
import sys
os.environ["DJANGO_SETTINGS_MODULE"] = "settings"
import django
django.setup()
from django.core.management import call_command
from django.db import connection
from ops.column_changes import position, registry
from ops.column_changes.planning import plan as planning
from ops.column_changes.planning.migration_files import load_migrations
from ops.column_changes.steps import Step
from ops.exceptions import OpsError
from ops.sql.query import fetch_all
from ops.testing import execute
from shop.models import Order, Owner

DEFINITIONS = """
SELECT concat_ws(' ', format_type(atttypid, atttypmod), CASE WHEN attnotnull THEN 'not null' END,
    pg_get_expr(adbin, adrelid)), 0
FROM pg_attribute LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
WHERE attrelid = 'shop_order'::regclass AND attname LIKE 'wide%'
UNION ALL SELECT pg_get_constraintdef(oid, true), 1 FROM pg_constraint
WHERE conrelid = 'shop_order'::regclass AND contype <> 'n' AND pg_get_constraintdef(oid) LIKE '%wide%'
UNION ALL SELECT regexp_replace(pg_get_indexdef(indexrelid), 'CREATE | [^ ]+ ON .* USING btree', '', 'g'), 2
FROM pg_index WHERE indrelid = 'shop_order'::regclass AND pg_get_indexdef(indexrelid) LIKE '%wide%'
ORDER BY 2, 1
"""

def plan():
    return planning.plan(registry.get_change("wide"))

def write():
    return [path.name for path in planning.write_plan(plan())]

def migrate(*words):
    call_command("migrate", "shop", *words, verbosity=0)

def is_clean():
    try:
        call_command("makemigrations", "--check", "--dry-run", verbosity=0)
    except SystemExit:
        return False
    return True

def go_on():
    """Go from expand to constrain."""
    assert execute("backfill_wide").state == "succeeded"
    for step in (Step.BACKFILL, Step.VERIFY):
        position.record_step("wide", step, "tester")
    migrate()

def insert(old=None, new=None):
    """Insert a row with those columns, and return both as text."""
    change = registry.get_change("wide")()
    columns = [change.old_field().column, change.new_field().column]
    given = [f"'{value}'" for value in (old, new) if value is not None]
    names = [column for column, value in zip(columns, (old, new)) if value is not None]
    clause = f"({', '.join(names)}) VALUES ({', '.join(given)})" if given else "DEFAULT VALUES"
    [row] = fetch_all(f"INSERT INTO shop_order {clause} RETURNING {columns[0]}::text, {columns[1]}::text")
    return row

def insert_each(*values):
    """Insert by the old column, by the new one, and by neither; print the values where the columns agree."""
    Order.objects.all().delete()
    for old, new in [insert(values[0]), insert(None, values[1]), insert()]:
        assert old == new, (old, new)
        print(new)

try:
    exec(sys.argv[1])
except OpsError as exc:
    print(type(exc).__name__, exc)
'''
Run = Callable[[str], list[str]]


def server_execute(statement: str) -> None:
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as server:
        server.execute(sql.SQL(statement).format(sql.Identifier(DATABASE), sql.Identifier(TEMPLATE)))


def database_settings(name: str) -> dict[str, object]:
    url = urlsplit(os.environ["DATABASE_URL"])
    return {
        "NAME": name,
        "USER": url.username,
        "PASSWORD": url.password,
        "HOST": url.hostname,
        "PORT": url.port,
    }


@pytest.fixture(scope="module")
def first_migration(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The migration of the models before the change; TEMPLATE is a database that has it."""
    root = tmp_path_factory.mktemp("before")
    project = write_project(root, database_settings(TEMPLATE), {"shop/models.py": BEFORE.format(fields="")})
    server_execute("CREATE DATABASE {1}")
    for words in ("makemigrations shop", "migrate"):
        done = run_in_project(project, "manage.py", *words.split())
        assert done.returncode == 0, done.stderr
    yield (project / "shop/migrations/0001_initial.py").read_text()
    server_execute("DROP DATABASE {1}")


@pytest.fixture
def project(first_migration: str, tmp_path: Path) -> Iterator[Path]:
    server_execute("CREATE DATABASE {0} TEMPLATE {1}")
    files = {
        "trial.py": TRIAL,
        "shop/migrations/__init__.py": "",
        "shop/migrations/0001_initial.py": first_migration,
    }
    (tmp_path / "shop").mkdir()
    yield write_project(tmp_path, database_settings(DATABASE), files)
    server_execute("DROP DATABASE {0} WITH (FORCE)")


def declare(
    project: Path,
    field: str,
    constraints: str = "",
    indexes: str = "",
    others: str = "",
    **attributes: object,
) -> None:
    """Write the models with the new field, and the change to it."""
    models = BEFORE.format(fields=f"    wide = models.{field}\n{textwrap.indent(others, '    ')}\n")
    models = models.replace("constraints = []", f"constraints = [{constraints}]")
    models = models.replace("indexes = []", f"indexes = [{indexes}]")
    (project / "shop/models.py").write_text(models)
    lines = [f"{name} = {value!r}" for name, value in {"old": "level", **attributes}.items()]
    text = OPERATIONS.format(attributes="\n    ".join(lines))
    (project / "shop/operations.py").write_text(text)


@pytest.fixture
def run(project: Path) -> Run:
    """Run a script in the project, and return what it prints."""

    def run(script: str) -> list[str]:
        done = run_in_project(project, "trial.py", textwrap.dedent(script))
        assert done.stderr == "", done.stderr
        return done.stdout.splitlines()

    return run


# From the plan to constrain, with a row that is there before.
ALL_STEPS = """
for key in (1, 2, 7):
    Owner.objects.create(pk=key)
fetch_all("INSERT INTO shop_order DEFAULT VALUES RETURNING id")
print(*write(), is_clean(), plan().migrations)
migrate("0002")
insert_each({old!r}, {new!r})
go_on()
print(is_clean())
insert_each({old!r}, {new!r})
for text, _ in fetch_all(DEFINITIONS):
    print(text)
"""


@pytest.mark.long
@pytest.mark.parametrize(
    ("declared", "files", "values", "definitions"),
    [
        (
            {"field": "CharField(max_length=16, null=True, default='new', blank=True)"},
            1,
            ("x", "y", "low"),
            ["character varying(16)"],
        ),
        (
            {
                "field": "CharField(max_length=16, blank=True)",
                "constraints": "models.UniqueConstraint('wide', F('note').desc(), name='one'),"
                "models.CheckConstraint(condition=Q(wide__gt='') | Q(note='a'), name='two')",
                "indexes": "models.Index(fields=['note', 'wide'], name='three')",
            },
            2,
            ("x", "y", "low"),
            [
                "character varying(16) not null",
                "CHECK (wide::text > ''::text OR note::text = 'a'::text)",
                "INDEX (note, wide)",
                "UNIQUE INDEX (wide, note DESC)",
            ],
        ),
        (
            {"field": "CharField(max_length=16, db_default='new', db_index=True)"},
            2,
            ("x", "y", "low"),
            ["character varying(16) not null", "INDEX (wide varchar_pattern_ops)", "INDEX (wide)"],
        ),
        (
            {"field": "IntegerField(unique=True)", "old": "code"},
            2,
            ("1", "2", "7"),
            ["integer not null", "UNIQUE (wide)", "UNIQUE INDEX (wide)"],
        ),
        (
            {"field": "OneToOneField(Owner, models.CASCADE)", "old": "code"},
            2,
            ("1", "2", "7"),
            [
                "bigint not null",
                "FOREIGN KEY (wide_id) REFERENCES shop_owner(id) DEFERRABLE INITIALLY DEFERRED",
                "UNIQUE (wide_id)",
                "UNIQUE INDEX (wide_id)",
            ],
        ),
    ],
    ids=["nullable", "constraints", "db_default", "integer", "one_to_one"],
)
def test_the_migrations_bring_the_table_to_the_models(
    project: Path,
    run: Run,
    declared: dict[str, str],
    files: int,
    values: tuple[str, ...],
    definitions: list[str],
) -> None:
    declare(project, **declared)
    names = " ".join(["0002_wide_expand.py", "0003_wide_constrain.py"][:files])
    lines = run(ALL_STEPS.format(old=values[0], new=values[1]))
    assert lines == [f"{names} True ()", *values, "True", *values, *definitions]


def migration_files(project: Path) -> list[str]:
    return sorted(path.name for path in (project / "shop/migrations").glob("0*.py"))


def test_other_changes_of_the_models_are_left_out(project: Path, run: Run) -> None:
    """Also an index of the new field and of another that has no migration yet."""
    declare(
        project,
        "CharField(max_length=16, null=True)",
        indexes="models.Index(fields=['wide', 'size'], name='both'),"
        "models.Index(fields=['wide'], name='one')",
        others="size = models.IntegerField(null=True)",
    )
    note, written, is_clean = run("""
        print(plan().notes[0])
        print(*write())
        print(is_clean())
        """)
    assert note == (
        "The models have other changes, which this plan leaves out: shop: Add field size to order; shop:"
        " Create index both on field(s) wide, size of model order. To write them afterwards: manage.py"
        " makemigrations"
    )
    assert (written, is_clean) == ("0002_wide_expand.py 0003_wide_constrain.py", "False")
    assert "both" not in (project / "shop/migrations/0003_wide_constrain.py").read_text()
    done = run("""
        call_command("makemigrations", verbosity=0)
        migrate("0002")
        go_on()
        print(is_clean())
        """)
    assert done == ["True"]


def test_what_is_written_is_not_written_twice(project: Path, run: Run) -> None:
    declare(project, "CharField(max_length=16, null=True)")
    assert run("print(*write()); print(plan().planned, write())") == [
        "0002_wide_expand.py",
        "{Step.EXPAND: '0002_wide_expand'} []",
    ]
    declare(project, "CharField(max_length=16, unique=True)")
    assert run("print(*write()); print(is_clean(), *plan().planned.values(), write())") == [
        "0003_wide_constrain.py",
        "True 0002_wide_expand 0003_wide_constrain []",
    ]
    declare(project, "CharField(max_length=16, db_index=True)")
    assert run("print(write(), *plan().notes)") == [
        "[] The models have other changes, which this plan leaves out: Alter field wide on order."
        " To write them afterwards: manage.py makemigrations"
    ]


def test_a_field_that_has_a_migration_is_not_added_again(project: Path, run: Run) -> None:
    """As in a database in which the new column was there before the change was declared."""
    declare(project, "CharField(max_length=16, null=True)")
    assert run("call_command('makemigrations', verbosity=0); print(*plan().obstacles)") == [
        "This database does not have shop_order.wide yet. Apply the migrations first: manage.py migrate"
    ]
    declare(project, "CharField(max_length=16, default='a')")
    assert run("""
        call_command("makemigrations", verbosity=0)
        print(plan().obstacles[0].partition(",")[0])
        """) == ["A migration that is not applied adds shop_order.wide as NOT NULL"]
    (project / "shop/migrations/0003_alter_order_wide.py").unlink()
    declare(project, "CharField(max_length=16)")
    lines = run("""
        migrate()
        [expand, constrain] = plan().migrations
        print(*(type(operation).__name__ for operation in expand.operations))
        print(*(type(operation).__name__ for operation in constrain.operations))
        insert()
        print(*write(), is_clean())
        migrate("0003")
        insert_each("x", "y")
        go_on()
        """)
    assert lines[:3] == [
        "AddDualWrite RecordStep",
        "Gate AlterField RecordStep",
        "0003_wide_expand.py 0004_wide_constrain.py True",
    ]
    assert lines[3:] == ["x", "y", "low"]


def test_the_default_of_the_new_column_serves_both_columns(project: Path, run: Run) -> None:
    """The old one gets none of its own when the step is taken back."""
    declare(project, "CharField(max_length=16, null=True, db_default='new')", old="note")
    assert run("""
        default = "SELECT column_default FROM information_schema.columns WHERE column_name = 'note'"
        write()
        migrate("0002")
        insert_each("x", "y")
        migrate("0001")
        print(fetch_all(default))
        """) == ["x", "y", "new", "[(None,)]"]


def test_no_file_is_written_while_there_is_an_obstacle(project: Path, run: Run) -> None:
    declare(project, "CharField(max_length=16, null=True)")
    lines = run("""
        with connection.cursor() as cursor:
            cursor.execute("CREATE RULE mine AS ON UPDATE TO shop_order DO ALSO SELECT 1")
            cursor.execute("ALTER TABLE shop_order ADD wide text")
        write()
        """)
    assert lines == [
        "PlanRefused wide cannot be planned:",
        "  shop_order has the rule mine. Use a trigger instead of the rule.",
        "  shop_order has a column wide already, which no migration has added. Drop it first.",
    ]
    assert migration_files(project) == ["0001_initial.py"]


def test_a_foreign_key_depends_on_the_migrations_of_its_model(project: Path, run: Run) -> None:
    declare(project, "ForeignKey('auth.User', models.SET_NULL, null=True)", old="code")
    assert run("""
        print(*write(), is_clean())
        expand = load_migrations("shop").get_migration("shop", "0002_wide_expand")
        print(expand.dependencies[-1], *(type(operation).__name__ for operation in expand.operations))
        """) == [
        "0002_wide_expand.py 0003_wide_constrain.py True",
        "('auth', '__first__') AddField AddDualWrite RecordStep",
    ]


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        (
            {"field": "ForeignKey('Stock', models.CASCADE)", "old": "code"},
            "MigrationNotWritten The model shop.Stock has no migration yet. Write it first, without",
        ),
        (
            {"field": "CharField(max_length=16)", "old": "gone"},
            "PlanRefused wide: shop.Order has no field gone now: nothing to plan. To go on: manage.py",
        ),
        (
            {"field": "CharField(max_length=16)", "new": "nothing"},
            "UnknownColumnChange No column change is called 'wide'; the declared ones: none.",
        ),
    ],
)
def test_what_cannot_be_planned_is_refused_in_a_line(
    project: Path, run: Run, declared: dict[str, str], message: str
) -> None:
    declare(project, **declared)
    with (project / "shop/models.py").open("a") as models:
        models.write("\n\nclass Stock(models.Model):\n    pass\n")
    lines = run("write()")
    assert (len(lines), lines[0].startswith(message)) == (1, True), lines
    assert migration_files(project) == ["0001_initial.py"]
