"""What startoperation and startchange share: whose app, which files, and the code that goes into them."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from importlib.util import find_spec
from pathlib import Path

from django.apps import apps
from django.core.management.base import CommandError
from django.db.models import Model

from ops.atomic_files import write_atomically
from ops.management.source import ModuleSource


@dataclass(frozen=True)
class Scaffold:
    """Declarations of one kind: ``noun`` is what messages call it, ``guide`` is its page."""

    noun: str
    guide: str

    def find_model(self, label: str) -> type[Model]:
        """Return the model. Raises CommandError if there is none, or if code cannot name it."""
        try:
            model: type[Model] = apps.get_model(label)
        except (LookupError, ValueError):
            raise CommandError(f"There is no model {label!r}.{_suggest_model(label)}", returncode=2) from None
        if not concrete_model(model)._meta.managed:
            raise CommandError(
                f"{model._meta.label} is not managed by Django (managed = False), so a test database lacks"
                f" its table. {self.by_hand}"
            )
        importable: object = getattr(sys.modules[model.__module__], model.__name__, None)
        if importable is not model:  # as a table that Django makes for a many-to-many field
            raise CommandError(
                f"{model._meta.label} cannot be imported from {model.__module__}. {self.by_hand}"
            )
        return model

    @property
    def by_hand(self) -> str:
        return f"Write the {self.noun} by hand: {self.guide}."

    def open_files(self, model: type[Model], name: str) -> Files:
        """Return the files of the model's app. Raises CommandError if they cannot be written."""
        folder = Path(apps.get_app_config(model._meta.app_label).path)
        if folder.is_relative_to(sys.prefix):
            raise CommandError(
                f"{model._meta.app_label} is installed in {folder}: use an app of your own project."
            )
        operations, test = self._operations_path(folder), _test_path(folder, name)
        if os.path.lexists(test):
            raise CommandError(f"{test} is there already: choose another name.")
        module = ModuleSource(operations, apps.get_app_config(model._meta.app_label).name)
        return Files(operations, test, module, is_new=not operations.exists())

    def _operations_path(self, folder: Path) -> Path:
        path, package = folder / "operations.py", folder / "operations"
        is_namespace = not os.path.lexists(path) and any(package.rglob("*.py"))
        if is_namespace or (package / "__init__.py").exists():
            raise CommandError(
                f"{package} is a package: write the {self.noun} by hand into {package / '__init__.py'}"
                f" ({self.guide})."
            )
        return path


@dataclass(frozen=True)
class Files:
    """The app's ``operations.py``, which may be new, and the file of the test, which is."""

    operations: Path
    test: Path
    module: ModuleSource
    is_new: bool

    def write(self, text: str, test_text: str) -> None:
        """Write both files or none."""
        write_atomically(self.test, test_text, overwrite=False)
        try:
            write_atomically(self.operations, text, overwrite=not self.is_new, encoding=self.module.encoding)
        except BaseException:
            self.test.unlink()
            raise

    def format_written(self, what: str, todo: Sequence[str]) -> list[str]:
        """Return what was written, and the numbered list of what to do next."""
        operations, test = map(_display_path, (self.operations, self.test))
        steps = [f"  {number}. {text}" for number, text in enumerate(todo, start=1)]
        return [
            f"Wrote {what} into {operations}",
            f"  and a test that passes into {test}",
            "",
            "What to do next:",
            *(step.replace("\n", "\n     ") for step in steps),
        ]


def concrete_model(model: type[Model]) -> type[Model]:
    return model._meta.concrete_model or model


def uses_pytest() -> bool:
    return find_spec("pytest_django") is not None


def to_class_name(name: str) -> str:
    """``lower_titles`` is LowerTitles."""
    return "".join(part.capitalize() for part in name.split("_"))


def _suggest_model(label: str) -> str:
    known = [model._meta.label for model in apps.get_models()]
    lowered = {name.lower(): name for name in known}
    near = [lowered[match] for match in get_close_matches(label.lower(), lowered, n=1, cutoff=0.5)]
    return f" Did you mean {near[0]}?" if near else f" There are: {', '.join(sorted(known))}."


def _test_path(folder: Path, name: str) -> Path:
    """Where the tests of the app are: ``tests/APP/`` beside it, ``APP/tests/``, or in the app itself."""
    places = (folder.parent / "tests" / folder.name, folder / "tests", folder)
    return next(place for place in places if place.is_dir()) / f"test_{name}.py"


def _display_path(path: Path) -> Path:
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path
