"""``manage.py startchange cards.Card rarity [--remove]``: declare a column change, and write a test of it."""

from __future__ import annotations

import ast
import inspect
import re
from difflib import get_close_matches
from string import Template
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.db import connection
from django.db.models import Field, Model

from ops.column_changes import ColumnChange, ColumnRemoval
from ops.column_changes.backfill import build_operation
from ops.column_changes.declaration import BaseColumnChange
from ops.column_changes.registry import list_changes
from ops.column_changes.validation import validate_change_name
from ops.command_lines import manage_command
from ops.exceptions import InvalidDeclaration
from ops.management.base import OpsCommand
from ops.management.scaffold import Files, Scaffold, concrete_model, to_class_name, uses_pytest
from ops.operations import registry
from ops.sql.integers import is_wider

_SCAFFOLD = Scaffold("change", "docs/column-changes.md")
_REPLACEMENT = '''

@$register
class $cls($base):
    """Say in one line what changes: from $old to $new."""

    name = "$name"
    model = $model
    old = "$old"
    new = "$new"
$options'''
# What the change of a primary key needs: see docs/column-changes.md.
_KEY_OPTIONS = """    swap = True
    unmappable = "keep"  # a key that does not fit the old column is written, and then there is no way back
"""
_REPLACEMENT_PYTEST = '''"""The column change $name."""

import pytest

from ops import testing

pytestmark = pytest.mark.django_db


def test_both_columns_agree():
    # Create rows here, through either column.
    run = testing.execute("$operation")
    assert (run.state, testing.failures(run)) == ("succeeded", {})
    assert testing.preview("$operation").total == 0
'''
_REPLACEMENT_UNITTEST = '''"""The column change $name."""

from django.test import TestCase

from ops import testing


class $cls(TestCase):
    def test_both_columns_agree(self):
        # Create rows here, through either column.
        run = testing.execute("$operation")
        self.assertEqual((run.state, testing.failures(run)), ("succeeded", {}))
        self.assertEqual(testing.preview("$operation").total, 0)
'''
_REMOVAL = '''

@$register
class $cls($base):
    """Say in one line why $old is not needed any more."""

    name = "$name"
    model = $model
    old = "$old"
'''
_REMOVAL_PYTEST = '''"""The column change $name."""

from django.core.checks import run_checks


def test_no_code_names_a_field_that_has_left_its_model():
    found = run_checks(tags=["column_changes"])
    assert not found, "; ".join(map(str, found))
'''
_REMOVAL_UNITTEST = '''"""The column change $name."""

from django.core.checks import run_checks
from django.test import SimpleTestCase


class $cls(SimpleTestCase):
    def test_no_code_names_a_field_that_has_left_its_model(self):
        self.assertEqual(run_checks(tags=["column_changes"]), [])
'''


class Command(OpsCommand):
    help = "Declare a column change in the operations of an app, and write a test of it that passes."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "model", metavar="APP.MODEL", help="The model of the column, for example cards.Card."
        )
        parser.add_argument(
            "old", metavar="OLD", help="The field that is replaced or removed, for example rarity."
        )
        parser.add_argument(
            "new", nargs="?", metavar="NEW", help="The field that replaces it; by default OLD_v2."
        )
        parser.add_argument("--remove", action="store_true", help="Remove OLD: there is no NEW.")
        parser.add_argument("--name", help="The change's name; by default NEW, or remove_OLD.")

    def handle(self, **options: Any) -> None:
        model = _SCAFFOLD.find_model(options["model"])
        old = _find_field(model, options["old"], is_removed=options["remove"])
        if options["remove"]:
            if options["new"]:
                raise CommandError(f"--remove takes no new field: leave out {options['new']}.", returncode=2)
            self.remove(model, old, _check_name(options["name"] or f"remove_{old.name}"))
        else:
            new = options["new"] or _next_version(old.name)
            _require_new_field(model, old, new)
            self.replace(model, old, new, _check_name(options["name"] or new))

    def replace(self, model: type[Model], old: Field[Any, Any], new: str, name: str) -> None:
        values = {"name": name, "old": old.name, "new": new}
        change: type[ColumnChange] = type("Change", (ColumnChange,), {**values, "model": model})
        values["options"] = _KEY_OPTIONS if old.primary_key else ""
        if problem := registry.get_validation_error(build_operation(change)):  # as for a composite key
            raise InvalidDeclaration(f"{problem}. No file was written.")
        values["operation"] = change.operation_name()
        tests = _REPLACEMENT_PYTEST, _REPLACEMENT_UNITTEST
        files = _write(model, ColumnChange, values, _REPLACEMENT, *tests)
        todo = [
            f"If the values differ, say how each becomes the other: {_SCAFFOLD.guide}",
            f"Write the migrations: {manage_command('column_change', name, 'plan')}",
            "Create rows in the test, and run it.",
            f"Preview the first step, which writes nothing: {manage_command('column_change', name, 'next')}",
        ]
        self.write_lines(files.format_written(f"the change {name}", todo))

    def remove(self, model: type[Model], old: Field[Any, Any], name: str) -> None:
        tests = _REMOVAL_PYTEST, _REMOVAL_UNITTEST
        files = _write(model, ColumnRemoval, {"name": name, "old": old.name}, _REMOVAL, *tests)
        todo = [
            f"Write the migration of the first step: {manage_command('column_change', name, 'plan')}",
            f"Preview the first step, which writes nothing: {manage_command('column_change', name, 'next')}",
            f"After that step, remove {old.name} from the model and from all code. Then see what comes next:"
            f" {manage_command('column_change', name)}",
        ]
        self.write_lines(files.format_written(f"the change {name}", todo))


def _find_field(model: type[Model], name: str, *, is_removed: bool = False) -> Field[Any, Any]:
    """Return the field. Raises CommandError if there is none, or if it cannot be replaced."""
    meta = concrete_model(model)._meta
    fields = {field.name: field for field in meta.local_concrete_fields}
    if field := fields.get(name):
        if field.generated:
            raise CommandError(
                f"{meta.label}.{name} is generated: a column change does not support that.", returncode=2
            )
        if field.primary_key and (is_removed or not _can_widen(field)):
            raise CommandError(
                f"{meta.label}.{name} is the primary key, of the type {field.db_type(connection)}: a column"
                " change supports only integers that become wider.",
                returncode=2,
            )
        return field
    near = get_close_matches(name, fields, n=1, cutoff=0.5)
    hint = f"Did you mean {near[0]}?" if near else f"There are: {', '.join(fields)}."
    raise CommandError(f"{meta.label} has no column {name!r} of its own. {hint}", returncode=2)


def _can_widen(field: Field[Any, Any]) -> bool:
    return not field.is_relation and is_wider("bigint", str(field.db_type(connection)))


def _next_version(name: str) -> str:
    """``rarity`` is rarity_v2, and ``rarity_v2`` is rarity_v3."""
    version = re.fullmatch(r"(.*)_v(\d+)", name)
    return f"{version[1]}_v{int(version[2]) + 1}" if version else f"{name}_v2"


def _require_new_field(model: type[Model], old: Field[Any, Any], new: str) -> None:
    """Raise CommandError, with the line to add to the model, unless it has the new field."""
    if new == old.name:
        raise CommandError(f"{new} cannot replace itself: name another field.", returncode=2)
    if not new.isidentifier():
        raise CommandError(f"{new!r} is not a name for a field.", returncode=2)
    if new in {field.name for field in concrete_model(model)._meta.local_concrete_fields}:
        _find_field(model, new)
        return
    raise CommandError(
        f"{model._meta.label} has no field {new} yet. Add it to the model as it shall be in the end, and type"
        f" this command again. A field like {old.name}:\n    {new} = {_field_source(old)}"
    )


def _field_source(field: Field[Any, Any]) -> str:
    """Return the code that makes the field, as it stands in the model if that can be read.

    A model may have one AutoField only; of a primary key the new field is a plain one until the step retire.
    """
    if field.primary_key:
        return "models.BigIntegerField(blank=True, editable=False)"
    try:
        source = inspect.getsource(inspect.getmodule(field.model) or field.model)
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.ClassDef) and node.name == field.model.__name__:
                for statement in node.body:
                    if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == field.name:
                        return ast.unparse(statement.value)
    except (OSError, TypeError, SyntaxError):
        pass
    return f"models.{type(field).__name__}(...)"


def _check_name(name: str) -> str:
    """Return the name. Raises InvalidDeclaration, or CommandError if a change or an operation has it."""
    validate_change_name(name)
    if name in {change.name for change in list_changes()}:
        raise CommandError(
            f"There is a change {name} already. To see it: {manage_command('column_change', name)}"
        )
    operation = f"backfill_{name}"
    if operation in {each.name for each in registry.list_operations()} | {*registry.get_invalid_operations()}:
        raise CommandError(
            f"There is an operation {operation} already, and the backfill of this change would have the same"
            " name: choose another name with --name."
        )
    return name


def _write(
    model: type[Model],
    base: type[BaseColumnChange],
    values: dict[str, str],
    declaration: str,
    pytest: str,
    unittest: str,
) -> Files:
    """Write the change at the end of the module, and its test."""
    files = _SCAFFOLD.open_files(model, values["name"])
    module, kind = files.module, base.__name__
    names = {
        "base": module.import_name("ops.column_changes", kind, f"Ops{kind}"),
        "register": module.import_name("ops.column_changes", "register_change", "register_column_change"),
        "model": module.import_name(model.__module__, model.__name__, f"{model.__name__}Model"),
    }
    names["cls"] = module.name_class(to_class_name(values["name"]), {kind, model.__name__}, suffix="Change")
    test = Template(pytest if uses_pytest() else unittest).substitute(**names, **values)
    files.write(module.append(Template(declaration).substitute(**names, **values)), test)
    return files
