"""The triggers of dual writes.

# Note [Which column a write came by]
An UPDATE that changes one of the two columns sets the other. One that changes both is stored as written, and
so is one that sets the new column to NULL until the old one is retired, so that a backfill can be reverted.
An INSERT fills the column that it leaves out; for the default see Note [Who writes the old column]. Nothing
is set in a row whose columns agree already: the new value is that of the old one, or the old value is that of
the new one. Without that, a conversion that is not one to one would rewrite the value that was written.

The copy of a primary key is set by each write that would make it differ. Two keys of one row that are not
equal would make another row of it at the step retire. So its default stays in the table, NULL does not
stay in the copy, and dual writes that are off make no difference.

# Note [What a trigger costs]
For each statement PostgreSQL reads the WHEN of a trigger anew, about half a microsecond for a name, a
constant or an operator in it. So a WHEN is short, and the function decides the rest. Without a WHEN the
function would be called for each row, which is most of the cost where a statement changes many. A function's
own search_path costs as much as its body: it is left out where the new column is a copy of the old one, of a
type and with operators that are in pg_catalog. The triggers of one event fire in the order of their names:
``by_insert`` sees what was given before ``insert`` fills in the rest.
"""

from __future__ import annotations

from psycopg import sql

from ops.sql.dual_write import OFF_SETTING, DualWrite, KeyCopy
from ops.sql.watched_column import WatchedColumn
from ops.sql.watched_column_triggers import (
    AS_HERE,
    FILL,
    FUNCTION,
    RECORDERS,
    row_value,
    template_parts,
)

_INSERT_BODY = """
BEGIN
    {return_if_given}
    IF {row_new} IS NULL THEN
        {fill_default}
        {row_new} := {to_new};
    ELSIF ({to_old}) IS NULL THEN
        {unmappable}
        {fill_default}
    ELSE
        {row_old} := {to_old};
    END IF;
    RETURN NEW;
END"""
# The old column is NULL here after UPDATE ... SET old = DEFAULT, or a foreign key's ON DELETE SET DEFAULT.
_UPDATE_BODY = """
BEGIN
    {return_if_off}
    {fill_not_null}
    IF {old_changed} THEN
        IF {row_new} IS NOT DISTINCT FROM {before_new} AND {still_differs} THEN
            {row_new} := {to_new};
        END IF;
    ELSIF {row_new} IS NOT NULL AND {row_new} IS DISTINCT FROM {before_new} AND {still_differs} THEN
        IF ({to_old}) IS NULL THEN
            {unmappable}
        ELSE
            {row_old} := {to_old};
        END IF;
    {or_emptied}END IF;
    RETURN NEW;
END"""
# Once the old column is retired: the way back would find a value that is gone, and a foreign key would hold
# the row to which it refers.
_EMPTIED = "ELSIF {row_new} IS NULL AND {before_new} IS NOT NULL THEN {row_old} := {to_old}; "
_DUAL_WRITE = (
    FUNCTION.format(name="insert", body=_INSERT_BODY),
    FUNCTION.format(name="update", body=_UPDATE_BODY),
    *RECORDERS,
    "CREATE TRIGGER {insert} BEFORE INSERT ON {table} FOR EACH ROW WHEN ({insert_condition})"
    " EXECUTE FUNCTION {insert}()",
    "CREATE TRIGGER {update} BEFORE UPDATE OF {columns} ON {table} FOR EACH ROW WHEN ({update_condition})"
    " EXECUTE FUNCTION {update}()",
)
_KEY_COPY = (
    FUNCTION.format(
        name="copy",
        body="\nBEGIN\n    {row_copy} := {value};\n    {require_value}\n    RETURN NEW;\nEND",
    ),
    "CREATE TRIGGER {copy} BEFORE INSERT OR UPDATE OF {columns} ON {table} FOR EACH ROW"
    " WHEN ({row_copy} IS DISTINCT FROM {row_key}) EXECUTE FUNCTION {copy}()",
)


def create_statements(column: WatchedColumn, schema: str) -> list[str]:
    """Return the statements that create the functions and triggers; ``schema`` is that of ops' own tables."""
    parts = template_parts(column, schema)
    templates = (*RECORDERS, *(FILL if column.fills_default else ()))
    if isinstance(column, KeyCopy):
        parts |= _key_copy_parts(column)
        templates = _KEY_COPY
    elif isinstance(column, DualWrite):
        parts |= _dual_write_parts(column)
        templates = _DUAL_WRITE
    return [sql.SQL(template).format(**parts).as_string() for template in templates]


def _dual_write_parts(dual_write: DualWrite) -> dict[str, sql.Composable]:
    """Return what the templates name beside the parts of any watched column."""
    row = _Row(dual_write)
    fill_default = sql.SQL("IF {old} IS NULL THEN {old} := {default}; END IF;").format(
        old=row.old, default=row.default
    )
    return {
        "search_path": sql.SQL("" if dual_write.is_plain_copy else AS_HERE),
        "columns": sql.SQL(", ").join(
            map(sql.Identifier, (dual_write.old, *dual_write.sources, dual_write.new))
        ),
        "row_new": row.new,
        "before_new": row.before_new,
        "to_new": row.to_new,
        "to_old": row.to_old,
        "fill_default": fill_default if dual_write.fills_default else sql.SQL(""),
        "fill_not_null": fill_default
        if dual_write.fills_default and not dual_write.nullable
        else sql.SQL(""),
        "insert_condition": row.insert_condition(),
        "still_differs": sql.SQL("true") if dual_write.is_plain_copy else row.differs(),
        "old_changed": row.old_changed(),
        "update_condition": row.update_condition(),
        "unmappable": _on_unmappable(dual_write, row.old),
        "or_emptied": sql.SQL(_EMPTIED).format(
            row_new=row.new, before_new=row.before_new, row_old=row.old, to_old=row.to_old
        )
        if dual_write.retired and dual_write.nullable and dual_write.to_old is not None
        else sql.SQL(""),
        "return_if_off": _return_if_off(sql.SQL("true") if not dual_write.retired else row.given_by_update()),
        # Code of the second deploy leaves the old column out, also where it loads rows.
        "return_if_given": _return_if_off(
            sql.SQL("{} IS NOT NULL").format(row.old)
            if dual_write.retired or not dual_write.nullable
            else sql.SQL("true")
        ),
    }


def _key_copy_parts(key: KeyCopy) -> dict[str, sql.Composable]:
    row = _Row(key)
    copy, value, source = (row.old, row.to_old, row.new) if key.retired else (row.new, row.to_new, row.old)
    may_be_empty = key.keeps or not key.retired
    require_value = sql.SQL("IF {} IS NULL THEN {} END IF;").format(copy, _raise_unmappable(key))
    return {
        "columns": sql.SQL(", ").join(map(sql.Identifier, (key.old, key.new))),
        "row_copy": copy,
        "value": value,
        "row_key": source,
        "require_value": sql.SQL("") if may_be_empty else require_value,
    }


def _on_unmappable(dual_write: DualWrite, row_old: sql.Composable) -> sql.Composable:
    """Return what is done with a new value that has no old one."""
    if not dual_write.keeps:
        return _raise_unmappable(dual_write)
    is_emptied = dual_write.empties and dual_write.retired and not dual_write.fills_default
    return sql.SQL("{} := NULL;").format(row_old) if is_emptied else sql.SQL("NULL;")


class _Row:
    """The SQL of the row NEW of a trigger, in which a dual write finds or sets the two columns."""

    def __init__(self, dual_write: DualWrite) -> None:
        self.dual_write = dual_write
        self.old, self.new = (row_value("NEW", name) for name in (dual_write.old, dual_write.new))
        self.before_new = row_value("OLD", dual_write.new)
        to_new, to_old = dual_write.to_new, dual_write.to_old or "NULL"
        if dual_write.is_plain_copy:
            to_new, to_old = "{old}", "{new}"
        self.to_new = sql.SQL(to_new).format(old=self.old, new=self.new)
        self.to_old = sql.SQL(to_old).format(old=self.old, new=self.new)
        self.default = sql.SQL(dual_write.default or "NULL")

    def insert_condition(self) -> sql.Composable:
        """Whether an INSERT left one of the columns out."""
        if not self.dual_write.nullable:
            return self._format("{old} IS NULL OR {new} IS NULL")
        is_left_out = "{old} IS NULL"
        if self.dual_write.has_default_in_table:
            is_left_out += " OR {old} IS NOT DISTINCT FROM {default}"
        return self._format("{new} IS NULL OR ((" + is_left_out + ") AND {differs})", differs=self.differs())

    def differs(self) -> sql.Composable:
        """Whether the columns differ. NULL is no old value, also where the old column is NULL."""
        return self._format(
            "{new} IS DISTINCT FROM {to_new} AND ({to_old} IS NULL OR {old} IS DISTINCT FROM {to_old})"
        )

    def update_condition(self) -> sql.Composable:
        """Which rows of an UPDATE the function looks at."""
        if self.dual_write.is_plain_copy and self.dual_write.fills_default:
            return self._format("({new} = {old}) IS NOT TRUE")
        is_default_set = " OR {old} IS NULL" if self.dual_write.fills_default else ""
        return self._format("{new} IS DISTINCT FROM {to_new}" + is_default_set)

    def old_changed(self) -> sql.Composable:
        """Whether an UPDATE changed the old column, or another that the new value depends on."""
        columns = (self.dual_write.old, *self.dual_write.sources)
        return sql.SQL(" OR ").join(
            sql.SQL("{} IS DISTINCT FROM {}").format(row_value("NEW", name), row_value("OLD", name))
            for name in columns
        )

    def given_by_update(self) -> sql.Composable:
        """Whether an UPDATE changed the old column itself."""
        before_old = row_value("OLD", self.dual_write.old)
        return sql.SQL("{} IS DISTINCT FROM {}").format(self.old, before_old)

    def _format(self, template: str, **parts: sql.Composable) -> sql.Composable:
        names = {name: getattr(self, name) for name in ("old", "new", "to_new", "to_old", "default")}
        return sql.SQL(template).format(**names, **parts)


def _return_if_off(condition: sql.Composable) -> sql.Composable:
    """Store the row as given where dual writes are off and the condition holds."""
    template = "IF current_setting({}, true) = 'off' AND {} THEN RETURN NEW; END IF;"
    return sql.SQL(template).format(sql.Literal(OFF_SETTING), condition)


def _raise_unmappable(dual_write: DualWrite) -> sql.Composable:
    return sql.SQL(
        "RAISE EXCEPTION {message}, left({value}::text, 100), TG_TABLE_NAME, {new}, {old}"
        " USING ERRCODE = 'check_violation', TABLE = TG_TABLE_NAME, SCHEMA = TG_TABLE_SCHEMA, COLUMN = {new};"
    ).format(
        message=sql.Literal(f"{dual_write.change}: the value '%' of %.% has no counterpart in %"),
        value=row_value("NEW", dual_write.new),
        new=sql.Literal(dual_write.new),
        old=sql.Literal(dual_write.old),
    )
