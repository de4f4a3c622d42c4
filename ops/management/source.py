"""Add code and the imports that it needs to the text of a Python module, and keep every other line of it."""

from __future__ import annotations

import ast
import builtins
import io
import keyword
import sys
import tokenize
from collections.abc import Iterator
from importlib import import_module
from importlib.util import resolve_name
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError

_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)


class ModuleSource:
    """The text of a module, which may not exist yet. ``encoding`` is the one that the file declares.

    Every method raises CommandError for what cannot be read or written.
    """

    def __init__(self, path: Path, package: str) -> None:
        """``package`` is the one that relative imports of the module start from."""
        self.path, self._package = path, package
        self.text, self.encoding = _read(path)
        self._lines = list(io.StringIO(self.text, newline=""))  # only \n, \r\n and \r end a line of Python
        self._newline = (_line_end(self._lines[0]) if self._lines else "") or "\n"
        self._tree = self._parse(self.text)
        self._bindings: dict[str, list[int]] = {}  # the lines that bind a name of the module
        for name, line in self._iter_bindings(self._tree):
            self._bindings.setdefault(name, []).append(line)
        self._added: dict[str, list[str]] = {}

    def import_name(self, module: str, name: str, alias: str) -> str:
        """Return by which name the module has the object, which is imported if it is not yet.

        It is imported as ``alias`` if the module has something else by its name.
        """
        if local := self._find_import(module, name):
            return local
        local = self._first_free(name, alias)
        self._added.setdefault(module, []).append(name if local == name else f"{name} as {local}")
        self._bindings[local] = []
        return local

    def name_class(self, name: str, reserved: set[str], suffix: str = "Operation") -> str:
        """Return the name for a new class, with the suffix at its end if the name is in use."""
        names = (name, f"{name}{suffix}")
        return self._first_free(*(names[1:] if name in reserved else names))

    def append(self, code: str) -> str:
        """Return the text of the module with the imports, and with the code at its end."""
        lines = list(self._lines)
        if lines and not _line_end(lines[-1]):
            lines[-1] += self._newline
        imports = [
            (self._import_line(module), f"from {module} import {', '.join(sorted(names))}")
            for module, names in self._added.items()
        ]
        for number, line in sorted(imports, reverse=True):
            lines.insert(number, line + self._newline)
        if not any(isinstance(node, ast.Import | ast.ImportFrom) for node in self._tree.body):
            self._separate(lines, self._start(), len(imports))
        text = "".join(lines).rstrip("\r\n") + self._newline + code.replace("\n", self._newline)
        self._parse(text)
        try:
            text.encode(self.encoding)
        except UnicodeEncodeError as exc:
            character = exc.object[exc.start]
            raise CommandError(
                f"{self.path} is encoded as {self.encoding}, which has no {character!r}. Convert it to UTF-8."
            ) from exc
        return text

    def _separate(self, lines: list[str], start: int, count: int) -> None:
        """Put an empty line after the imports, and one before them, where there are other lines."""
        for number in (start + count, start):
            if 0 < number < len(lines) and lines[number].strip() and lines[number - 1].strip():
                lines.insert(number, self._newline)

    def _parse(self, text: str) -> ast.Module:
        try:
            return ast.parse(text)
        except (SyntaxError, ValueError) as exc:
            place = f"line {exc.lineno}: {exc.msg}" if isinstance(exc, SyntaxError) else str(exc)
            raise CommandError(f"{self.path} cannot be parsed ({place}). Correct it first.") from exc

    def _first_free(self, *names: str) -> str:
        for name in names:
            if not (name in self._bindings or keyword.iskeyword(name) or hasattr(builtins, name)):
                return name
        lines = self._bindings.get(names[-1])
        place = f"{self.path}, line {lines[-1]}: {self._lines[lines[-1] - 1].strip()}" if lines else self.path
        raise CommandError(f"The name {names[-1]} is in use already: choose another name. {place}")

    def _find_import(self, module: str, name: str) -> str | None:
        """Return the name under which the module imports the object already, if nothing else binds it."""
        wanted = getattr(import_module(module), name)
        sources: dict[str, int] = {}  # how many imports bind a name to the object
        for node in self._tree.body:
            if isinstance(node, ast.ImportFrom):
                for original, local in self._imported(node):
                    source = self._resolve(node)
                    same = getattr(sys.modules.get(source), original, None) is wanted
                    if same or (source, original) == (module, name):
                        sources[local] = sources.get(local, 0) + 1
        return next((local for local in sources if sources[local] == len(self._bindings[local])), None)

    def _iter_bindings(self, node: ast.AST) -> Iterator[tuple[str, int]]:
        """Yield each name that a node binds in the scope that it stands in, and its line."""
        for child in ast.iter_child_nodes(node):
            line = getattr(child, "lineno", 0)
            if isinstance(child, ast.Name) and isinstance(child.ctx, ast.Store):
                yield child.id, line
            elif isinstance(child, ast.ImportFrom):
                yield from ((local, line) for _, local in self._imported(child))
            elif isinstance(child, ast.Import):
                yield from ((each.asname or each.name.partition(".")[0], line) for each in child.names)
            elif isinstance(name := getattr(child, "name", None), str):  # def, class, except, case
                yield name, line
            if not isinstance(child, (*_SCOPES, ast.Import, ast.ImportFrom)):
                yield from self._iter_bindings(child)

    def _imported(self, node: ast.ImportFrom) -> list[tuple[str, str]]:
        """Return what a line imports: the name in its module, and the name here."""
        if node.names[0].name != "*":
            return [(each.name, each.asname or each.name) for each in node.names]
        module: Any = sys.modules.get(self._resolve(node))
        public = [name for name in dir(module) if not name.startswith("_")] if module else []
        return [(name, name) for name in getattr(module, "__all__", public)]

    def _resolve(self, node: ast.ImportFrom) -> str:
        try:
            return resolve_name("." * node.level + (node.module or ""), self._package)
        except ImportError:
            return ""  # beyond the top-level package: the module cannot be imported

    def _import_line(self, module: str) -> int:
        """Return after how many lines of the module an import of ``module`` goes."""
        package, line = module.partition(".")[0], 0
        for node in self._tree.body:
            if isinstance(node, ast.ImportFrom) and self._resolve(node).partition(".")[0] == package:
                is_before = self._resolve(node) <= module
                line = (node.end_lineno or 0) if is_before else line or node.lineno - 1
        imports = [node for node in self._tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
        line = line or max((node.end_lineno or 0 for node in imports), default=0) or self._start()
        for node in self._tree.body:  # a statement after a semicolon may go on for many lines
            line = (node.end_lineno or 0) if node.lineno <= line < (node.end_lineno or 0) else line
        return line

    def _start(self) -> int:
        """Return after how many lines the code may begin: after the docstring and the first comment."""
        if ast.get_docstring(self._tree) is not None:
            return self._tree.body[0].end_lineno or 0
        comments, end = [number for number, line in enumerate(self._lines, 1) if line.startswith("#")], 0
        if not self._tree.body:
            return max(comments, default=0)
        for number, line in enumerate(self._lines[: self._tree.body[0].lineno - 1], 1):
            if line.strip() and not line.startswith("#"):
                break
            if line.strip():
                end = number
            elif end:
                break
        return end


def _read(path: Path) -> tuple[str, str]:
    """Return the text of the file with its line ends, and its encoding."""
    if path.is_symlink():
        raise CommandError(f"{path} is a symbolic link: replace it by a file, or write it by hand.")
    if not path.exists():
        return "", "utf-8"
    if not path.is_file():
        raise CommandError(f"{path} is not a file: move it away first.")
    try:
        with path.open("rb") as file:
            encoding = tokenize.detect_encoding(file.readline)[0]
        return path.read_bytes().decode(encoding), encoding
    except (SyntaxError, UnicodeError, LookupError, OSError) as exc:
        raise CommandError(f"{path} cannot be read: {exc}. Correct it first.") from exc


def _line_end(line: str) -> str:
    return line[len(line.rstrip("\r\n")) :]
