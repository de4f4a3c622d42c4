"""``manage.py startoperation cards.Card lower_titles``: the first lines of an operation, and a test of it."""

from __future__ import annotations

import ast
import sys
from difflib import get_close_matches
from importlib.util import find_spec
from pathlib import Path
from string import Template
from typing import Any

from django.apps import apps
from django.core.management.base import CommandError, CommandParser
from django.db.models import CharField, Field, IntegerField, Model, TextField

from ops.atomic_files import write_atomically
from ops.command_lines import manage_command
from ops.management.base import OpsCommand
from ops.operations import registry
from ops.operations.contract import validate_operation_name

_OPERATION = Template('''

@register
class $cls(Operation):
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
        parser.add_argument("--field", help="The column that it writes; by default the first one with text.")

    def handle(self, **options: Any) -> None:
        model = _find_model(options["model"])
        cls, name = _check_name(options["name"], model), options["name"]
        field = _find_field(model, options["field"])
        folder = _app_folder(model)
        operations, test = folder / "operations.py", _test_path(folder, name)
        if test.exists():
            raise CommandError(f"{test} is there already: choose another name.")
        module, is_new = _with_operation(operations, model, cls, name, field), not operations.exists()
        template = _PYTEST if find_spec("pytest_django") else _UNITTEST
        write_atomically(test, template.substitute(name=name, cls=cls), overwrite=False)
        try:
            write_atomically(operations, module, overwrite=not is_new)
        except BaseException:
            test.unlink()
            raise
        self.write_lines(_next_steps(operations, test, name))


def _find_model(label: str) -> type[Model]:
    try:
        return apps.get_model(label)
    except (LookupError, ValueError):
        known = [model._meta.label for model in apps.get_models()]
        lowered = {name.lower(): name for name in known}
        near = [lowered[match] for match in get_close_matches(label.lower(), lowered, n=1, cutoff=0.5)]
        hint = f" Did you mean {near[0]}?" if near else f" There are: {', '.join(sorted(known))}."
        raise CommandError(f"There is no model {label!r}.{hint}", returncode=2) from None


def _check_name(name: str, model: type[Model]) -> str:
    """Return the name of the class. Raises InvalidDeclaration, or CommandError where the name is taken."""
    validate_operation_name(name)
    cls = "".join(part.capitalize() for part in name.split("_"))
    cls += "Operation" if cls in ("Operation", "Lower", model.__name__) else ""
    taken = {operation.name for operation in registry.list_operations()}
    if name in taken | registry.get_invalid_operations().keys():
        raise CommandError(
            f"There is an operation {name} already. To preview it: {manage_command('operate', name)}"
        )
    return cls


def _find_field(model: type[Model], name: str | None) -> Field[Any, Any]:
    unique = {name for each in model._meta.total_unique_constraints for name in each.fields}
    fields = [field for field in model._meta.local_concrete_fields if field.name not in unique]
    usable = {field.name: field for field in fields if _is_usable(field)}
    if name is None and usable:
        return max(usable.values(), key=lambda field: isinstance(field, CharField | TextField))
    if name in usable:
        return usable[name]
    problem = (
        f"--field {name}: {model._meta.label} has no such column, or it cannot be used here."
        if name
        else f"{model._meta.label} has no column with text or whole numbers that is not unique."
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


def _test_path(folder: Path, name: str) -> Path:
    """Where the tests of the app are: ``tests/APP/`` beside it, ``APP/tests/``, or in the app itself."""
    places = (folder.parent / "tests" / folder.name, folder / "tests", folder)
    return next(place for place in places if place.is_dir()) / f"test_{name}.py"


def _with_operation(path: Path, model: type[Model], cls: str, name: str, field: Field[Any, Any]) -> str:
    """Return the text of the module with the operation at its end."""
    text = path.read_text() if path.exists() else ""
    try:
        tree = ast.parse(text)
    except SyntaxError as exc:
        raise CommandError(
            f"{path} cannot be parsed (line {exc.lineno}: {exc.msg}). Correct it first."
        ) from exc
    if any(isinstance(node, ast.ClassDef) and node.name == cls for node in tree.body):
        raise CommandError(f"{path} has a class {cls} already: choose another name.")
    is_text = isinstance(field, CharField | TextField)
    rows = f'exclude({field.name}=Lower("{field.name}"))' if is_text else f"filter({field.name}__lt=0)"
    imports = [
        (model.__module__, model.__name__),
        ("ops.operations", "Operation"),
        ("ops.operations", "register"),
    ]
    imports += [("django.db.models.functions", "Lower")] if is_text else []
    operation = _OPERATION.substitute(
        cls=cls,
        name=name,
        model=model.__name__,
        rows=f"{model.__name__}.objects.{rows}",
        field=field.name,
        value=f'Lower("{field.name}")' if is_text else "0",
    )
    return _with_imports(text, tree, imports).rstrip("\n") + "\n" + operation


def _with_imports(text: str, tree: ast.Module, wanted: list[tuple[str, str]]) -> str:
    """Return the text with the imports that it lacks, each beside those of its package."""
    imports = [node for node in tree.body if isinstance(node, ast.ImportFrom)]
    present = {(node.module, alias.name) for node in imports for alias in node.names if not alias.asname}
    missing: dict[str, list[str]] = {}
    for module, name in sorted(set(wanted) - present):
        missing.setdefault(module, []).append(name)
    lines = text.splitlines()
    places = [
        (_import_line(tree, module), f"from {module} import {', '.join(missing[module])}")
        for module in missing
    ]
    for number, line in sorted(places, reverse=True):
        lines.insert(number, line)
    return "\n".join(lines)


def _import_line(tree: ast.Module, module: str) -> int:
    """Return after how many lines of the module an import of ``module`` goes."""
    package, before = module.partition(".")[0], 0
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == package:
            before = (node.end_lineno or 0) if (node.module or "") <= module else before or node.lineno - 1
    every = [node.end_lineno or 0 for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    start = (tree.body[0].end_lineno or 0) if ast.get_docstring(tree) else 0
    return before or max(every, default=start)


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
