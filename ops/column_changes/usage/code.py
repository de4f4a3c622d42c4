"""Where the project's code still names the old field of a change.

The source of the installed apps is read, without packages that were installed, ``ops`` itself, and
migrations: Python, templates and SQL. A name counts unless the source tells that it is another model's, so
that some are found that are not the field's. Two ways tell them apart:

- an annotation with the model: ``def show(self, rule: PresentationRule)``, ``rows: list[PresentationRule]``;
- a comment on the line, with the name of the change: ``# column_change: ignore[rarity_v2]``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, cast

from django.apps import AppConfig, apps
from django.conf import settings

from ops.column_changes.declaration import BaseColumnChange
from ops.column_changes.taking.step_migrations import find_old_column
from ops.column_changes.usage.python import Reference, Target, find_in_python

_IGNORE = re.compile(r"column_change: ignore\[([\w, ]*)\]")
_INSTALLED = {"site-packages", "dist-packages"}
_OPS = Path(__file__).resolve().parents[2]
_SKIPPED = {"migrations", "node_modules", "__pycache__"}
_TEMPLATE_CODE = re.compile(r"\{[{%].*?[%}]\}")


def ignore_comment(change: type[BaseColumnChange]) -> str:
    """Return the comment that says of a line that what it names is another field."""
    return f"# column_change: ignore[{change.name}]"


def find_references(change: type[BaseColumnChange]) -> list[str]:
    """Return where the project's code names the old field, as ``cards/admin/cards.py:34 rarity``.

    With ``swap`` nothing has to change: the new column takes the old name.
    """
    if change.keeps_name():
        return []
    target = _target(change)
    found = {
        (name, reference.line, reference.name)
        for name, module, path in _list_files()
        for reference in _find_in_file(path, module, target, change)
    }
    return [f"{name}:{line} {text}" for name, line, text in sorted(found)]


def _target(change: type[BaseColumnChange]) -> Target:
    declared = change()
    column = find_old_column(change)
    attname = str(declared.old_field().attname) if declared.has_old_field() else column
    return Target(
        model=change.model,
        names=frozenset({change.old, attname}),
        column=column,
        declared_by=(change.__module__, change.__name__),
    )


def _list_files() -> Iterator[tuple[str, str, Path]]:
    """Yield the files that may name a field: the name in the project, the module's name, and the path."""
    folders = {Path(app.path): _project_root(app) for app in apps.get_app_configs()}
    for engine in cast(list[dict[str, Any]], settings.TEMPLATES):
        folders |= {Path(folder): Path(folder).parent for folder in engine.get("DIRS", ())}
    for folder, root in folders.items():
        if _is_installed(folder) or any(other in folders for other in folder.parents):
            continue
        for path in folder.rglob("*"):
            relative = path.relative_to(root)
            if path.suffix in _FINDERS and not _SKIPPED & {*relative.parts}:
                yield str(relative), ".".join(relative.with_suffix("").parts).removesuffix(".__init__"), path


def _is_installed(folder: Path) -> bool:
    return folder == _OPS or bool(_INSTALLED & {*folder.parts})


def _project_root(app: AppConfig) -> Path:
    """Return the folder from which the app's module is imported."""
    return Path(app.path).parents[app.name.count(".")]


def _find_in_file(path: Path, module: str, target: Target, change: type[BaseColumnChange]) -> list[Reference]:
    text = path.read_text(errors="replace")
    if not any(name in text for name in (*target.names, target.column)):
        return []
    lines = text.splitlines()
    return [
        reference
        for reference in _find_in_text(path.suffix, text, module, target)
        if not any(_is_ignored(line, change.name) for line in lines[reference.line - 1 : reference.last_line])
    ]


def _find_in_text(suffix: str, text: str, module: str, target: Target) -> Iterable[Reference]:
    try:
        return _FINDERS[suffix](text, module, target)
    except (SyntaxError, ValueError) as exc:
        line = getattr(exc, "lineno", None) or 1
        return [Reference(line, line, "(cannot be parsed)")]


def _is_ignored(line: str, change: str) -> bool:
    return any(change in re.split(r"[, ]+", names) for names in _IGNORE.findall(line))


def _find_in_template(text: str, module: str, target: Target) -> Iterator[Reference]:
    """Yield ``{{ card.rarity }}`` and the same in ``{% if %}``."""
    names = re.compile(rf"\.({'|'.join(map(re.escape, target.names))})\b")
    for code in _TEMPLATE_CODE.finditer(text):
        for match in names.finditer(code[0]):
            line = text.count("\n", 0, code.start()) + 1
            yield Reference(line, line, match[1])


def _find_in_sql(text: str, module: str, target: Target) -> Iterator[Reference]:
    for number, line in enumerate(text.splitlines(), 1):
        if target.word.search(line):
            yield Reference(number, number, target.column)


_FINDERS: dict[str, Callable[[str, str, Target], Iterable[Reference]]] = {
    ".py": find_in_python,
    ".html": _find_in_template,
    ".txt": _find_in_template,
    ".sql": _find_in_sql,
}
