"""Loads with dual writes off: each row is stored as given, and nothing stays off."""

from collections.abc import Iterator

import pytest
from django.db import IntegrityError, connection, models, transaction

from ops.sql.dual_write import dual_writes_off
from tests.ops.changing import MigratedTable
from tests.ops.dual_writing import Change, dual_written
from tests.ops.running import execute_sql, player

pytestmark = [pytest.mark.engine, pytest.mark.django_db(transaction=True)]

TEXT = Change(models.CharField(max_length=32), models.CharField(max_length=64, null=True), [], [])


@pytest.fixture
def item() -> Iterator[MigratedTable]:
    with dual_written(TEXT) as table:
        yield table


def is_off() -> bool:
    """Whether an INSERT of one column is stored as given."""
    with transaction.atomic():
        execute_sql("INSERT INTO shop_item (value) VALUES ('probe')")
        [(new,)] = execute_sql("SELECT value_v2 FROM shop_item WHERE value = 'probe'")
        transaction.set_rollback(True)
    return new is None


def test_every_way_to_load_rows_stores_them_as_given(item: MigratedTable) -> None:
    with dual_writes_off():
        item.model.objects.bulk_create([item.model(value="a", value_v2=None)])
        with connection.cursor() as cursor:
            cursor.executemany(
                "INSERT INTO shop_item (value, value_v2) VALUES (%s, %s)", [("b", None), ("c", "%")]
            )
            with cursor.connection.cursor().copy("COPY shop_item (value, value_v2) FROM STDIN") as copy:
                copy.write_row(("d", None))
                copy.write_row(("e", "f"))
            cursor.execute("UPDATE shop_item SET value_v2 = %(new)s WHERE value = 'a'", {"new": "100%"})
    assert [*item.model.objects.order_by("pk").values_list("value", "value_v2")] == [
        ("a", "100%"), ("b", None), ("c", "%"), ("d", None), ("e", "f"),
    ]  # fmt: skip
    assert not is_off()


def test_the_innermost_block_that_ends_leaves_the_outer_one_off(item: MigratedTable) -> None:
    with dual_writes_off():
        with dual_writes_off():
            assert is_off()
        assert is_off()
    assert not is_off()


def test_dual_writes_are_on_again_in_the_same_transaction(item: MigratedTable) -> None:
    with transaction.atomic():
        with dual_writes_off():
            assert is_off()
        assert not is_off()


@pytest.mark.parametrize("outer", [True, False])
def test_dual_writes_are_on_again_after_an_error(item: MigratedTable, outer: bool) -> None:
    def fail() -> None:
        with pytest.raises(IntegrityError), dual_writes_off():
            execute_sql("INSERT INTO shop_item (value) VALUES ('lost'), (NULL)")

    if outer:
        with transaction.atomic():
            fail()
            assert not is_off()
    else:
        fail()
    assert not is_off()
    assert not item.model.objects.exists()


def test_a_savepoint_that_is_rolled_back_inside_stays_off(item: MigratedTable) -> None:
    with dual_writes_off():
        with pytest.raises(IntegrityError), transaction.atomic():
            execute_sql("INSERT INTO shop_item (value) VALUES (NULL)")
        with pytest.raises(IntegrityError), dual_writes_off():
            execute_sql("INSERT INTO shop_item (value) VALUES (NULL)")
        assert is_off()
    assert not is_off()


def test_other_sessions_go_on_with_dual_writes(item: MigratedTable) -> None:
    with dual_writes_off(), player() as other:
        other.execute("INSERT INTO shop_item (value) VALUES ('theirs')")
        other.commit()
    assert item.model.objects.get().value_v2 == "theirs"


def test_code_that_knows_the_new_column_alone_can_load_rows(item: MigratedTable) -> None:
    with dual_writes_off():
        execute_sql("INSERT INTO shop_item (value_v2) VALUES ('theirs')")
    assert item.model.objects.get().value == "theirs"
