"""``manage.py startoperation cards.Card lower_titles``: the first lines of an operation, and a test of it."""

from __future__ import annotations

from string import Template
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.db.models import CharField, Field, IntegerField, Model, TextField
from django.db.models.functions import Lower

from ops.command_lines import manage_command
from ops.exceptions import InvalidDeclaration
from ops.management.base import OpsCommand
from ops.management.scaffold import Scaffold, concrete_model, to_class_name, uses_pytest
from ops.management.source import ModuleSource
from ops.operations import Operation, registry
from ops.operations.contract import validate_operation_name

_SCAFFOLD = Scaffold("operation", "docs/operations.md")
_OPERATION = Template('''

@$register
class $cls($base):
    """Say in one line what it does: this is its help text."""

    name = "$name"
    model = $model

    def get_queryset(self):
        return $rows  # the rows that still need the change

    def get_changes(self):
        return {"$field": $value}
''')
_PYTEST = Template('''"""The operation $name."""

import pytest

from ops import testing

pytestmark = pytest.mark.django_db


def test_no_row_needs_the_change_after_a_run():
    # Create rows here: one that needs the change, and one that does not.
    run = testing.execute("$name")
    assert (run.state, testing.failures(run)) == ("succeeded", {})
    assert testing.preview("$name").total == 0
''')
_UNITTEST = Template('''"""The operation $name."""

from django.test import TestCase

from ops import testing


class $cls(TestCase):
    def test_no_row_needs_the_change_after_a_run(self):
        # Create rows here: one that needs the change, and one that does not.
        run = testing.execute("$name")
        self.assertEqual((run.state, testing.failures(run)), ("succeeded", {}))
        self.assertEqual(testing.preview("$name").total, 0)
''')


class Command(OpsCommand):
    help = "Write the first lines of a new operation, and a test that passes."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "model", metavar="APP.MODEL", help="Whose rows it changes, for example cards.Card."
        )
        parser.add_argument("name", help="The operation's name, for example lower_titles.")
        parser.add_argument("--field", help="The field that it writes; by default the first one with text.")

    def handle(self, **options: Any) -> None:
        model = _SCAFFOLD.find_model(options["model"])
        name = _check_name(options["name"])
        field = _find_field(model, options["field"])
        files = _SCAFFOLD.open_files(model, name)
        cls, text = _add_operation(files.module, model, name, field)
        files.write(text, (_PYTEST if uses_pytest() else _UNITTEST).substitute(name=name, cls=cls))
        todo = [
            "In get_queryset(), say which rows still need the change; in get_changes(), what to set."
            "\nAll that an operation may declare: docs/operations.md",
            "Create rows in the test, and run it.",
            f"Preview it, which writes nothing: {manage_command('operate', name)}",
        ]
        self.write_lines(files.format_written(f"the operation {name}", todo))


def _check_name(name: str) -> str:
    """Return the name. Raises InvalidDeclaration, or CommandError if an operation has it."""
    validate_operation_name(name)
    taken = {operation.name for operation in registry.list_operations()}
    if name in taken | registry.get_invalid_operations().keys():
        raise CommandError(
            f"There is an operation {name} already. To preview it: {manage_command('operate', name)}"
        )
    return name


def _find_field(model: type[Model], name: str | None) -> Field[Any, Any]:
    meta = concrete_model(model)._meta  # a proxy has no fields of its own
    unique = {name for each in meta.total_unique_constraints for name in each.fields}
    fields = [field for field in meta.local_concrete_fields if field.name not in unique]
    usable = {field.name: field for field in fields if _is_usable(field)}
    if name is None and usable:
        return max(usable.values(), key=lambda field: isinstance(field, CharField | TextField))
    if name in usable:
        return usable[name]
    problem = (
        f"--field {name}: {model._meta.label} has no such field, or it cannot be used here."
        if name
        else f"{model._meta.label} has no field with text or whole numbers that is not unique."
    )
    hint = f"Choose {', '.join(usable)}." if usable else _SCAFFOLD.by_hand
    raise CommandError(f"{problem} {hint}", returncode=2)


def _is_usable(field: Field[Any, Any]) -> bool:
    return isinstance(field, CharField | TextField | IntegerField) and not field.unique


def _add_operation(
    module: ModuleSource, model: type[Model], name: str, field: Field[Any, Any]
) -> tuple[str, str]:
    """Return the name of the class, and the text of the module with the operation at its end."""
    is_text = isinstance(field, CharField | TextField)
    names = {
        "base": module.import_name("ops.operations", "Operation", "OpsOperation"),
        "register": module.import_name("ops.operations", "register", "register_operation"),
    }
    if is_text:
        names["lower"] = module.import_name("django.db.models.functions", "Lower", "LowerFunction")
    names["model"] = module.import_name(model.__module__, model.__name__, f"{model.__name__}Model")
    names["cls"] = module.name_class(to_class_name(name), reserved={"Operation", "Lower", model.__name__})
    managers = [each.name for each in model._meta.managers]
    manager = "objects" if "objects" in managers else model._default_manager.name
    value = f'{names["lower"]}("{field.name}")' if is_text else "0"
    rows = f"exclude({field.name}={value})" if is_text else f"filter({field.name}__lt=0)"
    if is_text and field.null:  # Django's exclude() keeps the rows where it is NULL, which never change
        rows = f"filter({field.name}__isnull=False).{rows}"
    rows = f"{names['model']}.{manager}.{rows}"
    code = _OPERATION.substitute(**names, name=name, rows=rows, field=field.name, value=value)
    _validate(code, names, model)
    return names["cls"], module.append(code)


def _validate(code: str, names: dict[str, str], model: type[Model]) -> None:
    """Raise InvalidDeclaration if the registry would refuse the operation, as for a composite primary key."""
    objects = {"base": Operation, "register": lambda operation: operation, "lower": Lower, "model": model}
    namespace: dict[str, Any] = {names[key]: objects[key] for key in names.keys() & objects.keys()}
    exec(code, namespace)  # noqa: S102 (the template above, with names that were checked)
    if problem := registry.get_validation_error(namespace[names["cls"]]):
        raise InvalidDeclaration(f"{problem}. No file was written.")
