"""``manage.py startoperation cards.Card lower_titles``: the first lines of an operation, and a test of it."""

from __future__ import annotations

import os
import sys
from difflib import get_close_matches
from importlib.util import find_spec
from pathlib import Path
from string import Template
from typing import Any

from django.apps import apps
from django.core.management.base import CommandError, CommandParser
from django.db.models import CharField, Field, IntegerField, Model, TextField
from django.db.models.functions import Lower

from ops.atomic_files import write_atomically
from ops.command_lines import manage_command
from ops.exceptions import InvalidDeclaration
from ops.management.base import OpsCommand
from ops.management.source import ModuleSource
from ops.operations import Operation, registry
from ops.operations.contract import validate_operation_name

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
        model = _find_model(options["model"])
        name = _check_name(options["name"])
        field = _find_field(model, options["field"])
        folder = _app_folder(model)
        operations, test = _operations_path(folder), _test_path(folder, name)
        if os.path.lexists(test):
            raise CommandError(f"{test} is there already: choose another name.")
        is_new = not operations.exists()
        module = ModuleSource(operations, apps.get_app_config(model._meta.app_label).name)
        cls, text = _add_operation(module, model, name, field)
        template = _PYTEST if find_spec("pytest_django") else _UNITTEST
        write_atomically(test, template.substitute(name=name, cls=cls), overwrite=False)
        try:
            write_atomically(operations, text, overwrite=not is_new, encoding=module.encoding)
        except BaseException:
            test.unlink()
            raise
        self.write_lines(_next_steps(operations, test, name))


def _find_model(label: str) -> type[Model]:
    try:
        model: type[Model] = apps.get_model(label)
    except (LookupError, ValueError):
        known = [model._meta.label for model in apps.get_models()]
        lowered = {name.lower(): name for name in known}
        near = [lowered[match] for match in get_close_matches(label.lower(), lowered, n=1, cutoff=0.5)]
        hint = f" Did you mean {near[0]}?" if near else f" There are: {', '.join(sorted(known))}."
        raise CommandError(f"There is no model {label!r}.{hint}", returncode=2) from None
    if not _concrete(model)._meta.managed:
        raise CommandError(
            f"{model._meta.label} is not managed by Django (managed = False), so a test database lacks its"
            " table. Write the operation by hand: docs/operations.md."
        )
    importable: object = getattr(sys.modules[model.__module__], model.__name__, None)
    if importable is not model:  # as a table that Django makes for a many-to-many field
        raise CommandError(
            f"{model._meta.label} cannot be imported from {model.__module__}."
            " Write the operation by hand: docs/operations.md."
        )
    return model


def _concrete(model: type[Model]) -> type[Model]:
    return model._meta.concrete_model or model


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
    meta = _concrete(model)._meta  # a proxy has no fields of its own
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
    hint = f"Choose {', '.join(usable)}." if usable else "Write the operation by hand: docs/operations.md."
    raise CommandError(f"{problem} {hint}", returncode=2)


def _is_usable(field: Field[Any, Any]) -> bool:
    return isinstance(field, CharField | TextField | IntegerField) and not field.unique


def _app_folder(model: type[Model]) -> Path:
    folder = Path(apps.get_app_config(model._meta.app_label).path)
    if folder.is_relative_to(sys.prefix):
        raise CommandError(
            f"{model._meta.app_label} is installed in {folder}: use an app of your own project."
        )
    return folder


def _operations_path(folder: Path) -> Path:
    path, package = folder / "operations.py", folder / "operations"
    is_namespace = not os.path.lexists(path) and any(package.rglob("*.py"))
    if is_namespace or (package / "__init__.py").exists():
        raise CommandError(
            f"{package} is a package: write the operation by hand into {package / '__init__.py'}"
            " (docs/operations.md)."
        )
    return path


def _test_path(folder: Path, name: str) -> Path:
    """Where the tests of the app are: ``tests/APP/`` beside it, ``APP/tests/``, or in the app itself."""
    places = (folder.parent / "tests" / folder.name, folder / "tests", folder)
    return next(place for place in places if place.is_dir()) / f"test_{name}.py"


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
    camel = "".join(part.capitalize() for part in name.split("_"))
    names["cls"] = module.name_class(camel, reserved={"Operation", "Lower", model.__name__})
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


def _next_steps(operations: Path, test: Path, name: str) -> list[str]:
    here = Path.cwd()
    shown = [path.relative_to(here) if path.is_relative_to(here) else path for path in (operations, test)]
    return [
        f"Wrote the operation {name} into {shown[0]}",
        f"  and a test that passes into {shown[1]}",
        "",
        "What to do next:",
        "  1. In get_queryset(), say which rows still need the change; in get_changes(), what to set.",
        "     All that an operation may declare: docs/operations.md",
        "  2. Create rows in the test, and run it.",
        f"  3. Preview it, which writes nothing: {manage_command('operate', name)}",
    ]
