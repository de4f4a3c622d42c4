"""The kinds of value that commands take, each refused in words that say what it may be."""

from __future__ import annotations

import getpass
from argparse import Action, ArgumentError, ArgumentParser, ArgumentTypeError, Namespace, _ArgumentGroup
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ops.health.indicators import INDICATOR_NAMES as INDICATORS

FILTER_SYNTAX = "COLUMN__isnull=true for NULL, COLUMN__in=A,B for several, COLUMN__contains=A for lists"
_MAX_INTEGER = 2**31 - 1
_MAX_NAME_LENGTH = 150
_MAX_LANES = 256


def os_username() -> str:
    """Return the OS user's name; ``unknown`` where the user id has none, as in containers."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"


def integer_between(least: int, most: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            number = least - 1
        if not least <= number <= most:
            raise ArgumentTypeError(f"{text!r} is not a whole number from {least:,} to {most:,}")
        return number

    return parse


def make_argument_type(read: Callable[[str], Any], told: str) -> Callable[[str], Any]:
    """``told`` says what it may be where ``read`` raises ValueError."""

    def parse(text: str) -> Any:
        try:
            return read(text)
        except ValueError:
            raise ArgumentTypeError(f"{text!r} is not {told}") from None

    return parse


positive_integer = integer_between(1, _MAX_INTEGER)
non_negative_integer = integer_between(0, _MAX_INTEGER)
lane_count = integer_between(1, _MAX_LANES)


def escape_percent(text: str) -> str:
    """The text for argparse's help, where a percent sign means more than itself."""
    return text.replace("%", "%%")


def add_mode_arguments(parser: ArgumentParser) -> None:
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--dry-run", action="store_true", help="Preview only; this is the default.")
    mode.add_argument("--execute", action="store_true", help="Do it.")


def add_throttle_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--batch-size",
        type=positive_integer,
        metavar="N",
        help="Rows changed in a batch; by default it adapts.",
    )
    parser.add_argument(
        "--max-rate", type=positive_integer, metavar="N", help="Rows changed a second, at most."
    )
    parser.add_argument(
        "--max-failures", type=non_negative_integer, metavar="N", help="More failed rows fail the run."
    )


def add_ignore_health_argument(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--ignore-health",
        dest="ignored_health",
        action="append",
        choices=INDICATORS,
        default=[],
        metavar="NAME",
        help=f"Not held by this indicator: {', '.join(INDICATORS)}.",
    )


def add_performed_by_argument(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--as",
        dest="performed_by",
        type=parse_performed_by,
        default=os_username(),
        metavar="NAME",
        help="Who asks.",
    )


def get_performed_by_flags(performed_by: str) -> list[str]:
    """What to type again, so that the same person asks."""
    return [] if performed_by == os_username() else ["--as", performed_by]


def add_worker_arguments(parser: ArgumentParser | _ArgumentGroup, remark: str = "") -> None:
    parser.add_argument(
        "--queue", dest="workers", action="store_const", const=1, help="Leave it to the workers, and return."
    )
    parser.add_argument(
        "--workers", type=lane_count, metavar="N", help=f"Leave it to N workers at once, and return{remark}."
    )


def add_no_backup_argument(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--no-backup",
        dest="without_backup",
        action="store_true",
        help="Without the fresh, verified backup that may be demanded here; the run tells of it.",
    )


def parse_performed_by(text: str) -> str:
    if not 1 <= len(text.strip()) <= _MAX_NAME_LENGTH:
        raise ArgumentTypeError(f"a name has 1 to {_MAX_NAME_LENGTH} characters, not {len(text.strip())}")
    return validate_utf8(text.strip())


def validate_utf8(text: str) -> str:
    """Of bytes that are no UTF-8 Python makes halves of characters, which the database does not take."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ArgumentTypeError(f"{text!r} is not UTF-8") from None
    return text


def parse_path(text: str) -> Path:
    if not text:  # which Path would take for the current folder
        raise ArgumentTypeError("the name is empty")
    return Path(text)


def parse_filter(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise ArgumentTypeError(f"{text!r} is not COLUMN=VALUE; {FILTER_SYNTAX}")
    return validate_utf8(name), validate_utf8(value)


class FilterAction(Action):
    """Gathers the pairs; a column asked twice would be one that no row can have."""

    def __call__(self, parser: ArgumentParser, namespace: Namespace, values: Any, option: Any = None) -> None:
        gathered, (name, value) = dict(getattr(namespace, self.dest)), values
        if name in gathered:
            raise ArgumentError(self, f"{name} is given twice")
        setattr(namespace, self.dest, gathered | {name: value})
