"""Variables of the environment, read as they stand: `$`, `#` and `%` are letters like any other."""

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
        return self.variables[name].lower() in TRUE_VALUES if name in self.variables else default

    def number(self, name: str, default: int) -> int:
        return int(self.variables.get(name, default))

    def items(self, name: str) -> list[str]:
        """What stands between the commas, without the spaces around it; none where it is empty or not set."""
        return split_items(self.variables.get(name, ""))

    def folder(self, name: str, default: str) -> str:
        return str(self.base / self.variables.get(name, default))


def split_items(value: str) -> list[str]:
    """The items of a list with commas, without the spaces around them."""
    return [item.strip() for item in value.split(",")] if value.strip() else []


def read_env_file(path: Path, variables: MutableMapping[str, str]) -> None:
    """Set what ``path`` names and ``variables`` does not; a file that is not there sets nothing.

    Raises ImproperlyConfigured, which tells no value, where the file or a line of it cannot be read.
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
    if wrong := [each.original.line for each in bindings if each.error or (each.key and each.value is None)]:
        listed = ", ".join(map(str, wrong))
        raise ImproperlyConfigured(
            f"{path} cannot be read in line {listed}: NAME=VALUE is expected, or NAME='VALUE'."
        )
    for each in bindings:
        if each.key and each.value is not None:
            variables.setdefault(each.key, each.value)
