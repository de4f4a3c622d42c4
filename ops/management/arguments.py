"""The kinds of value that commands take, each refused in words that say what it may be."""

from __future__ import annotations

from argparse import Action, ArgumentError, ArgumentParser, ArgumentTypeError, Namespace, _ArgumentGroup
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ops.actor import current_user
from ops.health.indicators import NAMES as INDICATORS

FILTER_FORMS = "COLUMN__isnull=true for NULL, COLUMN__in=A,B for several, COLUMN__contains=A for lists"
_GREATEST = 2**31 - 1
_LONGEST_NAME = 150
_MOST_LANES = 256


def whole(least: int, most: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            number = least - 1
        if not least <= number <= most:
            raise ArgumentTypeError(f"{text!r} is not a whole number from {least:,} to {most:,}")
        return number

    return parse


def read_by(read: Callable[[str], Any], told: str) -> Callable[[str], Any]:
    """``told`` says what it may be where ``read`` raises ValueError."""

    def parse(text: str) -> Any:
        try:
            return read(text)
        except ValueError:
            raise ArgumentTypeError(f"{text!r} is not {told}") from None

    return parse


positive = whole(1, _GREATEST)
natural = whole(0, _GREATEST)
few = whole(1, _MOST_LANES)


def literal(text: str) -> str:
    """The text for argparse's help, where a percent sign means more than itself."""
    return text.replace("%", "%%")


def add_mode(parser: ArgumentParser) -> None:
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--dry-run", action="store_true", help="Preview only; this is the default.")
    mode.add_argument("--execute", action="store_true", help="Do it.")


def add_pace(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--batch-size", type=positive, metavar="N", help="Rows changed in a batch; by default it adapts."
    )
    parser.add_argument("--max-rate", type=positive, metavar="N", help="Rows changed a second, at most.")
    parser.add_argument("--max-failures", type=natural, metavar="N", help="More failed rows fail the run.")


def add_ignore_health(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--ignore-health",
        dest="ignored_health",
        action="append",
        choices=INDICATORS,
        default=[],
        metavar="NAME",
        help=f"Not held by this indicator: {', '.join(INDICATORS)}.",
    )


def add_person(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--as",
        dest="performed_by",
        type=person,
        default=current_user(),
        metavar="NAME",
        help="Who asks.",
    )


def person_flags(performed_by: str) -> list[str]:
    """What to type again, so that the same person asks."""
    return [] if performed_by == current_user() else ["--as", performed_by]


def add_workers(parser: ArgumentParser | _ArgumentGroup, remark: str = "") -> None:
    parser.add_argument(
        "--queue", dest="workers", action="store_const", const=1, help="Leave it to the workers, and return."
    )
    parser.add_argument(
        "--workers", type=few, metavar="N", help=f"Leave it to N workers at once, and return{remark}."
    )


def add_no_backup(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--no-backup",
        dest="without_backup",
        action="store_true",
        help="Without the fresh, verified backup that may be demanded here; the run tells of it.",
    )


def person(text: str) -> str:
    if not 1 <= len(text.strip()) <= _LONGEST_NAME:
        raise ArgumentTypeError(f"a name has 1 to {_LONGEST_NAME} characters, not {len(text.strip())}")
    return characters(text.strip())


def characters(text: str) -> str:
    """Of bytes that are no UTF-8 Python makes halves of characters, which the database does not take."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ArgumentTypeError(f"{text!r} is not UTF-8") from None
    return text


def path(text: str) -> Path:
    if not text:  # which Path would take for the current folder
        raise ArgumentTypeError("the name is empty")
    return Path(text)


def pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise ArgumentTypeError(f"{text!r} is not COLUMN=VALUE; {FILTER_FORMS}")
    return characters(name), characters(value)


class Filters(Action):
    """Gathers the pairs; a column asked twice would be one that no row can have."""

    def __call__(self, parser: ArgumentParser, namespace: Namespace, values: Any, option: Any = None) -> None:
        gathered, (name, value) = dict(getattr(namespace, self.dest)), values
        if name in gathered:
            raise ArgumentError(self, f"{name} is given twice")
        setattr(namespace, self.dest, gathered | {name: value})
