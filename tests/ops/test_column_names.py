"""Names that are made from a column's name are recognised, and made for another one."""

import pytest
from django.db import connection, models

from ops.column_changes.meta_references import has_reference, rename_references
from ops.sql.column_names import rename_statements, retired_name
from tests.ops.running import execute_sql

pytestmark = [pytest.mark.engine, pytest.mark.django_db]

Q, F = models.Q, models.F


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("rarity", "rarity__retired"),
        ("x" * 60, "x" * 54 + "__retired"),
        ("é" * 30, "é" * 27 + "__retired"),
        ("xé" * 20 + "é", "xé" * 18 + "__retired"),
    ],
)
def test_a_retired_name_fits(name: str, expected: str) -> None:
    assert retired_name(name) == expected
    assert len(expected.encode()) <= 63


@pytest.mark.parametrize(
    ("table", "column", "other"),
    [
        ("shop_item", "value", "value__retired"),
        ("shop_item", "value__retired", "value"),
        ('"Other schema"."odd, table"', "select", "The Title"),
        ("long_table_" * 5, "long_column_" * 4, "short"),
        ("t", "long_column_" * 5, "é" * 12),
    ],
)
def test_default_names_become_those_of_the_other_column(table: str, column: str, other: str) -> None:
    """They are those of a table that was created with the other name: PostgreSQL's and Django's."""
    execute_sql('CREATE SCHEMA "Other schema"')

    def create(name: str) -> set[str]:
        quoted = connection.ops.quote_name
        relation = table.rpartition(".")[2].strip('"')
        with connection.schema_editor() as editor:
            django = [editor._create_index_name(table, [name], suffix) for suffix in ("", "_like", "_uniq")]
        execute_sql(
            f"CREATE TABLE {quoted(table)} (id int, {quoted(name)} text NOT NULL UNIQUE"
            f" CHECK ({quoted(name)} <> ''));"
            f"CREATE INDEX ON {quoted(table)} ({quoted(name)});"
            f"CREATE INDEX ON {quoted(table)} ({quoted(name)});"
            + "".join(f"CREATE INDEX {quoted(each)} ON {quoted(table)} ({quoted(name)});" for each in django)
        )
        return names(relation)

    expected = create(other)
    execute_sql(f"DROP TABLE {connection.ops.quote_name(table)}")
    create(column)
    with connection.schema_editor() as editor:
        for statement in rename_statements(editor, table, [(column, other)], []):
            editor.execute(statement)
    assert names(table.rpartition(".")[2].strip('"')) == expected


def names(relation: str) -> set[str]:
    found = execute_sql(
        "SELECT conname FROM pg_constraint JOIN pg_class ON pg_class.oid = conrelid WHERE relname = %s"
        " UNION SELECT indexname FROM pg_indexes WHERE tablename = %s",
        relation[:63],
        relation[:63],
    )
    return {name for (name,) in found}


REFERENCES = [
    models.Index(fields=["id", "-value"], name="a"),
    models.Index(models.functions.Upper("value"), name="a"),
    models.Index(fields=["id"], include=["value"], name="a"),
    models.Index(fields=["id"], condition=Q(id=1) | ~Q(value__startswith="value"), name="a"),
    models.UniqueConstraint(fields=["value"], name="a"),
    models.UniqueConstraint(F("value").desc(), name="a"),
    models.CheckConstraint(condition=Q(id__lt=F("value") + 1), name="a"),
    models.CheckConstraint(
        condition=Q(id=models.Case(models.When(value__gt=1, then="id"), default=models.Value("value"))),
        name="a",
    ),
    models.CheckConstraint(
        condition=Q(id=models.Func(F("value"), function="length", output_field=models.TextField())), name="a"
    ),
]


@pytest.mark.parametrize("declared", REFERENCES, ids=lambda each: repr(each)[:60])
def test_a_field_is_found_and_renamed_wherever_it_is_named(declared: models.Index) -> None:
    assert has_reference(declared, "value")
    renamed = rename_references(declared, "value", "other")
    assert not has_reference(renamed, "value")
    assert rename_references(renamed, "other", "value") == declared
    assert not has_reference(declared, "a")
    assert rename_references(declared, "valu", "other") == declared
