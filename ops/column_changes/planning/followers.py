"""What a plan tells beside its obstacles: what goes on with the old column, and what the new one lacks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from django.db import connection
from django.db.models import CharField, Field, IntegerField, TextField

from ops.column_changes.planning.key_obstacles import list_narrow_references
from ops.column_changes.planning.table import ChangedTable, WatchedTable, name_pattern
from ops.sql.query import fetch_all

_FUNCTIONS_SQL = """
SELECT p.oid::regprocedure::text FROM pg_proc p
WHERE p.oid <> ALL (SELECT tgfoid FROM pg_trigger WHERE tgrelid = %s) AND prosrc ~* %s AND prosrc ~* %s
    AND pronamespace NOT IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)
    AND NOT EXISTS (SELECT FROM pg_depend
        WHERE classid = 'pg_proc'::regclass AND objid = p.oid AND deptype = 'e')
ORDER BY 1
"""
_PUBLICATIONS_SQL = """
SELECT pubname FROM pg_publication_tables JOIN pg_class c ON relname = tablename
    AND relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = schemaname)
WHERE c.oid = %s ORDER BY 1
"""
# A cast that PostgreSQL makes by itself keeps every value, and a text can be made of any.
_IS_SAFE_CAST_SQL = """
SELECT s.oid = t.oid OR t.typcategory = 'S' OR EXISTS (
    SELECT FROM pg_cast WHERE castsource = s.oid AND casttarget = t.oid AND castcontext = 'i')
FROM pg_type s, pg_type t WHERE s.oid = %s::regtype AND t.oid = %s::regtype
"""


def list_notes(table: ChangedTable) -> list[str]:
    """Return what to know, and to do, before the old column is retired or dropped."""
    return [*list_dependents(table), *(note for check in _NOTES for note in check(table))]


def list_dependents(table: WatchedTable) -> list[str]:
    """Return what in the database goes on with the old column and keeps it from being dropped."""
    return [note for check in (_views, _functions, _policies) for note in check(table)]


def _views(table: WatchedTable) -> Iterator[str]:
    for each in table.depending_on(table.old, "rule"):
        view = each.name.split(" on ", 1)[1]
        yield f"The view {view} reads {table.old}. {_what_follows(table, 'read')}"


def _what_follows(table: WatchedTable, verb: str) -> str:
    """Say what becomes of an object that depends on the old column itself, and what to do with it."""
    if table.change.keeps_name():
        return "It prevents the step retire: drop it before that step, and create it again afterwards."
    return (
        f"It will {verb} the renamed column after the step retire, and prevent the step drop."
        f" Change it to {table.advice} before the step retire."
    )


def _functions(table: WatchedTable) -> Iterator[str]:
    named = [
        name
        for (name,) in table.query(
            _FUNCTIONS_SQL, name_pattern([table.old]), name_pattern([table.short_name])
        )
    ]
    for name in named:
        yield (
            f"The function {name} seems to name {table.name}.{table.old} in its text, which does not follow"
            f" when the column is renamed. Change it to {table.advice} before the step retire."
        )
    for each in table.depending_on(table.old, "function", "procedure"):
        yield f"The {each.kind} {each.name} uses {table.old}. {_what_follows(table, 'use')}"


def _triggers(table: ChangedTable) -> Iterator[str]:
    for name, _, is_before_row, columns in table.list_triggers([table.old]):
        if is_before_row:
            continue  # an obstacle
        is_blind = table.old in columns and table.new not in columns
        unseen = f" It does not fire for an UPDATE that sets only {table.new}." if is_blind else ""
        yield (
            f"The trigger {name} of {table.name} uses {table.old}.{unseen} Change it to {table.advice} before"
            " the step retire."
        )


def _policies(table: WatchedTable) -> Iterator[str]:
    for each in table.depending_on(table.old, "policy"):
        yield f"The policy {each.name} uses {table.old}. {_what_follows(table, 'use')}"


def _statistics(table: ChangedTable) -> Iterator[str]:
    if table.change.keeps_name():
        return  # the step retire makes them anew
    for each in table.depending_on(table.old, "statistics object"):
        yield (
            f"The statistics {each.name} are of {table.old}, and are dropped with it. Create some for"
            f" {table.new}, if query plans need them."
        )


def _publications(table: ChangedTable) -> Iterator[str]:
    if names := [name for (name,) in table.query(_PUBLICATIONS_SQL)]:
        yield (
            f"{table.name} is published by {', '.join(names)}. Subscribers do not get new columns or new"
            f" names by themselves: add {table.new} to their tables before the step expand, and"
            f" {table.old}__retired before the step retire."
        )


def _python_defaults(table: ChangedTable) -> Iterator[str]:
    declared = table.change()
    for field, other in (
        (declared.new_field(), declared.old_field()),
        (declared.old_field(), declared.new_field()),
    ):
        if (value := _python_default(field)) is not None:
            yield (
                f"Code that knows both fields writes both: where it sets only {other.name}, Django sets"
                f" {field.name} to {value}, and the two differ. Set both, or give {field.name} a db_default"
                " in place of it: then the triggers fill it."
            )


def _python_default(field: Field[Any, Any]) -> str | None:
    """Return what Django writes where the code sets no value, or None if it leaves the column out."""
    if field.has_default():  # also where there is a db_default
        return f"its default, {field.default!r}" if not callable(field.default) else "its default"
    if field.has_db_default():
        return None
    return "an empty text" if field.empty_strings_allowed and not field.null else None


def _conversions(table: ChangedTable) -> Iterator[str]:
    """Yield what a plain copy cannot convert: an error of the statement that writes it."""
    if not table.change.is_copy():
        return
    old, new = table.change().old_field(), table.change().new_field()
    if problem := _find_narrowing(old, new):
        yield f"A value of {old.name} that {problem} is refused, also where old code writes it."
    if problem := _find_narrowing(new, old):
        yield f"A value of {new.name} that {problem} {_what_becomes(table)}."


def _what_becomes(table: ChangedTable) -> str:
    """Say what becomes of a new value that the old column cannot have."""
    old, new = table.change().old_field(), table.change().new_field()
    if table.dual_write.empties and table.dual_write.keeps:
        return f"leaves {old.name} empty after the step retire, which cannot be taken back then"
    if table.dual_write.keeps and isinstance(new, CharField | TextField | IntegerField):
        return f"leaves {old.name} as it is"
    keep = '. To have it written, declare unmappable = "keep"' if table.dual_write.empties else ""
    return f"is refused until the step drop{keep}"


def _find_narrowing(source: Field[Any, Any], target: Field[Any, Any]) -> str | None:
    before, after = (getattr(each, "max_length", None) for each in (source, target))
    if after and (before is None or before > after) and isinstance(source, CharField | TextField):
        return f"has more than the {after} characters of {target.name}"
    types = [each.db_type(connection) for each in (source, target)]
    [(is_safe,)] = fetch_all(_IS_SAFE_CAST_SQL, *types)
    return None if is_safe else f"cannot become {types[1]}, the type of {target.name},"


def _mapping(table: ChangedTable) -> Iterator[str]:
    change = table.change
    known = {value for value, _ in change().old_field().flatchoices}
    is_complete = known and known <= change.mapping.keys()
    if change.mapping and not change().new_field().null and not is_complete:
        yield (
            f"An old value that the mapping does not have gives NULL, which {table.new} does not allow after"
            " the step constrain: such a write fails then, also one of old code."
        )


def _filled(table: ChangedTable) -> Iterator[str]:
    column = table.columns.get(table.new)
    if column and column.is_not_null:
        yield (
            f"{table.name}.{table.new} is NOT NULL, so each row has a value already, and the backfill changes"
            " none. The step verify tells whether they are those of the old column."
        )


_NOTES: tuple[Callable[[ChangedTable], Iterator[str]], ...] = (
    _triggers,
    _statistics,
    _publications,
    _python_defaults,
    _conversions,
    _mapping,
    _filled,
    list_narrow_references,
)
