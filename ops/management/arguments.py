"""Argument types and shared arguments of the commands. Each error says which values are valid."""

from __future__ import annotations

from argparse import Action, ArgumentError, ArgumentParser, ArgumentTypeError, Namespace, _ArgumentGroup
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ops.health.indicators import INDICATOR_NAMES as INDICATORS
from ops.users import os_username

FILTER_SYNTAX = (
    "COLUMN__isnull=true for NULL, COLUMN__in=A,B for several values, COLUMN__contains=A for lists"
)
_MAX_INTEGER = 2**31 - 1
_MAX_NAME_LENGTH = 150
_MAX_LANES = 256


def integer_between(minimum: int, maximum: int) -> Callable[[str], int]:
    """Return an argument type for integers of the range, both ends included."""

    def parse(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            number = minimum - 1
        if not minimum <= number <= maximum:
            raise ArgumentTypeError(f"{text!r} is not a whole number from {minimum:,} to {maximum:,}")
        return number

    return parse


def make_argument_type(parse: Callable[[str], Any], description: str) -> Callable[[str], Any]:
    """Return an argument type that says "'x' is not {description}" where ``parse`` raises ValueError."""

    def parse_argument(text: str) -> Any:
        try:
            return parse(text)
        except ValueError:
            raise ArgumentTypeError(f"{text!r} is not {description}") from None

    return parse_argument


positive_integer = integer_between(1, _MAX_INTEGER)
non_negative_integer = integer_between(0, _MAX_INTEGER)
lane_count = integer_between(1, _MAX_LANES)


def escape_percent(text: str) -> str:
    """Escape percent signs, since argparse formats help texts with %."""
    return text.replace("%", "%%")


def add_mode_arguments(parser: ArgumentParser) -> None:
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--dry-run", action="store_true", help="Only show a preview (the default).")
    mode.add_argument("--execute", action="store_true", help="Make the changes.")


def add_json_argument(parser: ArgumentParser, **kwargs: Any) -> None:
    parser.add_argument("--json", action="store_true", help="Write JSON, one object per line.", **kwargs)


def add_throttle_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--batch-size",
        type=positive_integer,
        metavar="N",
        help="Change N rows per batch. By default the batch size adapts.",
    )
    parser.add_argument(
        "--max-rate", type=positive_integer, metavar="N", help="Change at most N rows per second."
    )
    parser.add_argument(
        "--max-failures",
        type=non_negative_integer,
        metavar="N",
        help="Fail the run after more than N failed rows.",
    )


def add_ignore_health_argument(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--ignore-health",
        dest="ignored_health",
        action="append",
        choices=INDICATORS,
        default=[],
        metavar="NAME",
        help=f"Do not hold the run because of this health indicator: {', '.join(INDICATORS)}.",
    )


def add_performed_by_argument(parser: ArgumentParser, record: str = "audit log") -> None:
    parser.add_argument(
        "--as",
        dest="performed_by",
        type=parse_performed_by,
        default=os_username(),
        metavar="NAME",
        help=f"User recorded in the {record} (default: your user name on this machine).",
    )


def get_performed_by_flags(performed_by: str) -> list[str]:
    """Return the flags that name the same user in a command to type next."""
    return [] if performed_by == os_username() else ["--as", performed_by]


def add_worker_arguments(parser: ArgumentParser | _ArgumentGroup, details: str = "") -> None:
    parser.add_argument(
        "--queue",
        dest="workers",
        action="store_const",
        const=1,
        help="Let a worker execute the run, and return at once.",
    )
    parser.add_argument(
        "--workers",
        type=lane_count,
        metavar="N",
        help=f"Let N workers execute the run at the same time, and return at once{details}.",
    )


def add_no_backup_argument(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--no-backup",
        dest="without_backup",
        action="store_true",
        help="Start without a fresh, verified backup, even if this site requires one. The run records this.",
    )


def parse_performed_by(text: str) -> str:
    if not 1 <= len(text.strip()) <= _MAX_NAME_LENGTH:
        raise ArgumentTypeError(f"a name has 1 to {_MAX_NAME_LENGTH} characters, not {len(text.strip())}")
    return validate_utf8(text.strip())


def validate_utf8(text: str) -> str:
    """Return the text. Raises ArgumentTypeError for surrogates, which stand for bytes that are not UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ArgumentTypeError(f"{text!r} is not UTF-8") from None
    return text


def parse_path(text: str) -> Path:
    if not text:  # Path("") would be the current folder.
        raise ArgumentTypeError("the path is empty")
    return Path(text)


def parse_filter(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise ArgumentTypeError(f"{text!r} is not COLUMN=VALUE; {FILTER_SYNTAX}")
    return validate_utf8(name), validate_utf8(value)


class FilterAction(Action):
    """Collects the pairs in a dict. Refuses a column that is given twice: no row could match both values."""

    def __call__(self, parser: ArgumentParser, namespace: Namespace, values: Any, option: Any = None) -> None:
        filters, (name, value) = dict(getattr(namespace, self.dest)), values
        if name in filters:
            raise ArgumentError(self, f"{name} is given twice")
        setattr(namespace, self.dest, filters | {name: value})
