"""House rules for the code itself: imports, module sizes, names, raw SQL."""

import ast
import re
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
FORBIDDEN = {"ops": {"cards", "kyndo"}, "cards": {"kyndo"}}
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for package in ("kyndo", "cards", "ops")
    for path in (ROOT / package).rglob("*.py")
}


@cache
def imported(module: str) -> set[str]:
    """Return the modules that a module imports, including imports inside functions."""
    names = set()
    for node in ast.walk(ast.parse(MODULES[module].read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} imports relatively"
            parts = {f"{node.module}.{alias.name}" for alias in node.names}
            names |= parts & MODULES.keys() or {node.module or ""}
    return names


@pytest.mark.parametrize("package", FORBIDDEN)
def test_imports_run_one_way(package: str) -> None:
    modules = [module for module in MODULES if module.partition(".")[0] == package]
    imports = {module: {name.partition(".")[0] for name in imported(module)} for module in modules}
    assert imports
    assert {module: names for module, names in imports.items() if names & FORBIDDEN[package]} == {}


def test_no_module_imports_itself_indirectly() -> None:
    graph = {module: imported(module) & MODULES.keys() for module in MODULES}
    assert "ops.report.progress_bar" in graph["ops.report.transfer"]  # a late one
    assert set(TopologicalSorter(graph).static_order()) == MODULES.keys()  # else it raises the cycle


def test_no_package_of_ops_imports_itself_indirectly() -> None:
    graph: dict[str, set[str]] = {}
    for module in (module for module in MODULES if module.startswith("ops.")):
        graph.setdefault(room(module), set()).update(room(name) for name in imported(module) & MODULES.keys())
    graph = {name: others - {name, "ops", "ops.admin"} for name, others in graph.items()}
    assert "ops.sql" in graph["ops.engine"]
    assert set(TopologicalSorter(graph).static_order()) == graph.keys()  # else it raises the cycle


def room(module: str) -> str:
    """Return the package or module directly under ``ops``; of the admin, that under ``ops.admin``."""
    return ".".join(module.split(".")[: 3 if module.startswith("ops.admin.") else 2])


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-dev.txt"])
def test_every_requirement_is_pinned(name: str) -> None:
    lines = (ROOT / name).read_text().splitlines()
    pins = [line for line in lines if line and not line.startswith(("#", "-r "))]
    assert [line for line in pins if not re.fullmatch(r"[\w.-]+(\[\w+\])?==[\w.]+", line)] == []


def texts(path: Path) -> set[str]:
    """Return the string literals of a module, without docstrings."""
    nodes = list(ast.walk(ast.parse(path.read_text())))
    docstrings = {node.value for node in nodes if isinstance(node, ast.Expr)}
    literals = (node for node in nodes if isinstance(node, ast.Constant) and node not in docstrings)
    return {node.value for node in literals if isinstance(node.value, str)}


def test_commands_in_messages_are_built_in_one_place() -> None:
    """Only `ops.command_lines.manage_command` builds commands; one help text contains `manage.py`."""
    named = {module for module, path in MODULES.items() for text in texts(path) if "manage.py " in text}
    assert named == {"kyndo.management.commands.localservices"}
    templates = [path for package in ("kyndo", "cards", "ops") for path in (ROOT / package).rglob("*.html")]
    assert templates
    assert [path.name for path in templates if "manage.py" in path.read_text()] == []


def test_no_module_is_too_long() -> None:
    lengths = {
        module: len(path.read_text().splitlines())
        for module, path in MODULES.items()
        if "migrations" not in path.parts
    }
    assert {module: lines for module, lines in lengths.items() if lines > 300} == {}


def test_no_file_has_the_markers_of_a_conflict() -> None:
    """A template with them is valid, and shows them to everybody."""
    marker = re.compile(rb"^(<<<<<<<|>>>>>>>) ", re.MULTILINE)
    folders = ("kyndo", "cards", "ops", "tests", "bench", "docs")
    files = [path for folder in folders for path in (ROOT / folder).rglob("*") if path.is_file()]
    assert len(files) > len(MODULES)
    assert [
        path for path in files if "__pycache__" not in path.parts and marker.search(path.read_bytes())
    ] == []


def test_no_name_of_a_test_is_too_long() -> None:
    names = {
        name
        for path in (ROOT / "tests").rglob("*.py")
        for name in re.findall(r"^ *def (test_\w+)", path.read_text(), re.MULTILINE)
    }
    assert names
    assert {name for name in names if len(name) > 70} == set()


# Packages that use SQL of ops.sql only. Of the engine, one module composes the statement of a batch, and one
# executes what the ORM compiled.
WITHOUT_SQL = tuple(
    f"ops.{name}." for name in ("operations", "runs", "engine", "queue", "workers", "report", "admin")
)
COMPOSES_SQL = "ops.engine.statement"
EXECUTES_COMPILED_SQL = "ops.engine.lane"
RAW_SQL_CALLS = {"RawSQL", "raw", "cursor", "executemany"}


def raw_sql(module: str) -> set[str]:
    """Return what the module uses to build or execute raw SQL."""
    tree = ast.parse(MODULES[module].read_text())
    uses = {"psycopg", "psycopg.sql", "ops.sql.query"} & imported(module)
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        name = getattr(call.func, "attr", getattr(call.func, "id", ""))
        is_literal = bool(call.args) and isinstance(call.args[0], ast.Constant | ast.JoinedStr | ast.BinOp)
        if name in RAW_SQL_CALLS or (name == "execute" and is_literal):
            uses.add(name)
    return uses


def test_raw_sql_is_in_one_package() -> None:
    uses = {module: raw_sql(module) for module in MODULES if module.startswith(WITHOUT_SQL)}
    assert uses.pop(COMPOSES_SQL) >= {"psycopg", "cursor"}  # it finds something where something is
    assert uses.pop(EXECUTES_COMPILED_SQL) == {"cursor"}
    assert {module: names for module, names in uses.items() if names} == {}


def test_every_run_of_the_admin_starts_in_one_place() -> None:
    """There it is decided whether a second person has to approve it."""
    starters = {
        module
        for module in MODULES
        if {"admin", "http"} & set(module.split("."))
        and "ops.runs.creation.create_run" in imported_names(module)
    }
    assert starters == {"ops.admin.starting.starting"}


def imported_names(module: str) -> set[str]:
    """Return what the module imports by name: ``ops.runs.creation.create_run``."""
    nodes = ast.walk(ast.parse(MODULES[module].read_text()))
    imports = (node for node in nodes if isinstance(node, ast.ImportFrom))
    return {f"{node.module}.{alias.name}" for node in imports for alias in node.names}
