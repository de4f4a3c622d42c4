"""The house rules that a file can break without any test of its own noticing."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
FORBIDDEN = {"ops": {"cards", "kyndo"}, "cards": {"kyndo"}}


def imported(path: Path) -> set[str]:
    """The top-level packages that a module imports, anywhere in it."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module or "")
    return {name.partition(".")[0] for name in names}


@pytest.mark.parametrize("package", FORBIDDEN)
def test_imports_run_one_way(package: str) -> None:
    found = {path: imported(path) & FORBIDDEN[package] for path in (ROOT / package).rglob("*.py")}
    assert found
    assert {path: names for path, names in found.items() if names} == {}


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-dev.txt"])
def test_every_requirement_is_pinned(name: str) -> None:
    lines = (ROOT / name).read_text().splitlines()
    wanted = [line for line in lines if line and not line.startswith(("#", "-r "))]
    assert [line for line in wanted if not re.fullmatch(r"[\w.-]+(\[\w+\])?==[\w.]+", line)] == []


def test_no_module_has_grown_beyond_what_one_reads_at_a_time() -> None:
    modules = [path for folder in ("kyndo", "cards", "ops") for path in (ROOT / folder).rglob("*.py")]
    long = {
        path.name: len(path.read_text().splitlines()) for path in modules if "migrations" not in path.parts
    }
    assert {name: lines for name, lines in long.items() if lines > 300} == {}
