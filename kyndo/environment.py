"""Typed access to environment variables, and the reader of .env. `$`, `#` and `%` are ordinary characters."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured
from dotenv.parser import parse_stream

TRUE_VALUES = ("on", "true", "yes", "y", "ok", "1")
FALSE_VALUES = ("off", "false", "no", "n", "0")


@dataclass(frozen=True)
class Environment:
    """Typed access to ``variables``, validated by `kyndo.env_validation`; folders are under ``base``."""

    variables: Mapping[str, str]
    base: Path

    def text(self, name: str, default: str = "") -> str:
        return self.variables.get(name, default)

    def flag(self, name: str, default: bool) -> bool:
        """Return whether the value is one of TRUE_VALUES, else ``default`` if it is not set."""
        return self.variables[name].lower() in TRUE_VALUES if name in self.variables else default

    def number(self, name: str, default: int) -> int:
        return int(self.variables.get(name, default))

    def items(self, name: str) -> list[str]:
        """Split the value at its commas and strip the items; [] if the variable is empty or not set."""
        return split_items(self.variables.get(name, ""))

    def folder(self, name: str, default: str) -> str:
        """Return the path as text; a relative one is under ``base``."""
        return str(self.base / self.variables.get(name, default))


def split_items(value: str) -> list[str]:
    """Split a comma-separated list and strip its items."""
    return [item.strip() for item in value.split(",")] if value.strip() else []


def read_env_file(path: Path, variables: MutableMapping[str, str]) -> None:
    """Add the variables of ``path`` that ``variables`` does not have; do nothing if there is no such file.

    Raises ImproperlyConfigured, without showing any value, if the file or one of its lines cannot be read.
    """
    try:
        with path.open(encoding="utf-8") as file:
            bindings = list(parse_stream(file))
    except FileNotFoundError:
        return
    except (OSError, UnicodeDecodeError) as exc:
        raise ImproperlyConfigured(
            f"{path} cannot be read: {getattr(exc, 'strerror', exc.args[-1])}"
        ) from exc
    if invalid := [b.original.line for b in bindings if b.error or (b.key and b.value is None)]:
        lines = ", ".join(map(str, invalid))
        raise ImproperlyConfigured(
            f"{path} cannot be read in line {lines}: NAME=VALUE is expected, or NAME='VALUE'."
        )
    for binding in bindings:
        if binding.key and binding.value is not None:
            variables.setdefault(binding.key, binding.value)
