"""What can go wrong, in words for the person who reads them."""

from django.db import InternalError


class OpsError(Exception):
    """Base of every error that an operator can cause and mend.

    ``exit_status`` is what a command exits with: 2 where the words were wrong, 1 where the run was.
    ``reason`` is what was wrong, without the advice, which is of the moment.
    """

    exit_status = 1

    def __init__(self, reason: str = "", advice: str = "") -> None:
        self.reason = reason
        super().__init__(f"{reason} {advice}".strip())


class InvalidDeclaration(OpsError):
    """An operation is declared in a way that the engine cannot run exactly."""


class UnknownOperation(OpsError):
    exit_status = 2


class UnknownRun(OpsError):
    exit_status = 2


class InvalidParams(OpsError):
    """``errors`` maps a parameter's name to its messages."""

    exit_status = 2

    def __init__(self, errors: dict[str, list[str]]) -> None:
        self.errors = errors
        super().__init__("; ".join(f"{name}: {' '.join(messages)}" for name, messages in errors.items()))


class InvalidScope(OpsError):
    exit_status = 2


class IllegalMove(OpsError):
    """A run was asked to leave its state for one that the table of moves does not allow."""


class ColumnClaimed(OpsError):
    """Another run writes one of the columns."""


class ChangedDeclaration(OpsError):
    """The operation is no longer the one that the run began with."""


class NeverShrinks(OpsError):
    """Rows that the operation changed still match its queryset."""


class TooManyFailures(OpsError):
    """More rows failed than the run was told to bear."""


class NoneSucceeds(OpsError):
    """So many rows failed, and none succeeded, that no row can be at fault."""


class DatabaseAway(OpsError):
    """The database did not come back in time; the run stands where its last batch left it."""


class RunLost(OpsError):
    """The run is no longer in the database, as after a failover to a server that had not heard of it."""


class WritesWhereItReads(OpsError, InternalError):
    """An operation writes where it is only looked at."""


class Interrupted(OpsError):
    """Somebody asked to stop, and what cannot be continued was given up."""

    exit_status = 130


class BadContent(OpsError):
    """A file can be read, but not as what it should be."""


class Held(Exception):
    """The run is held: no batch begins before its time is over."""
