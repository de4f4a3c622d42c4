"""What can go wrong, in words for the person who reads them."""

from typing import ClassVar

from django.db import InternalError

from ops.command_lines import manage_command


class OpsError(Exception):
    """Base of every error that an operator can cause and mend.

    ``exit_status`` is what a command exits with: 2 where the words were wrong, 1 where the run was.
    ``reason`` is what was wrong, without the advice, which is of the moment.
    ``code`` names the error where runs store it and JSON prints it: the class's name, unless it sets another.
    """

    code: ClassVar[str] = "OpsError"
    exit_status = 1

    def __init_subclass__(cls) -> None:
        cls.code = vars(cls).get("code", cls.__name__)

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


class InvalidTransition(OpsError):
    """A run was asked to leave its state for one that the table of moves does not allow."""

    code = "IllegalMove"  # stored by earlier versions


class ColumnClaimed(OpsError):
    """Another run writes one of the columns."""


class DeclarationChanged(OpsError):
    """The operation is no longer the one that the run began with."""

    code = "ChangedDeclaration"  # stored by earlier versions


class NonTerminating(OpsError):
    """Rows that the operation changed still match its queryset."""

    code = "NeverShrinks"  # stored by earlier versions


class TooManyFailures(OpsError):
    """More rows failed than the run was told to bear."""


class AllRowsFailed(OpsError):
    """So many rows failed, and none succeeded, that no row can be at fault."""

    code = "NoneSucceeds"  # stored by earlier versions


class DatabaseUnavailable(OpsError):
    """The database did not come back in time; the run stands where its last batch left it."""


class RunLost(OpsError):
    """The run is no longer in the database, as after a failover to a server that had not heard of it."""

    def __init__(self, run: int) -> None:
        super().__init__(
            f"Run {run} is no longer in the database: a server that took over, or a restored backup,"
            f" does not know it. To see the runs: {manage_command('runs')}"
        )


class WriteInReadOnlyTransaction(OpsError, InternalError):
    """An operation writes where it is only looked at."""

    code = "WritesWhereItReads"  # stored by earlier versions


class Interrupted(OpsError):
    """Somebody asked to stop, and what cannot be continued was given up."""

    exit_status = 130


class InvalidContent(OpsError):
    """A file can be read, but not as what it should be."""


class RunHeld(Exception):
    """The run is held: no batch begins before its time is over."""


def get_error_code(error: Exception) -> str:
    """The name under which a run stores an error that has no SQLSTATE."""
    return error.code if isinstance(error, OpsError) else type(error).__name__
