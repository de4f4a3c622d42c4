"""The exceptions whose message is for the operator."""

from typing import Any, ClassVar

from django.db import InternalError

from ops.command_lines import manage_command


class OpsError(Exception):
    """Base of the errors that an operator can cause and fix.

    ``exit_status`` is that of the command: 2 for wrong arguments, 1 for a failed run.
    ``reason`` is the message without the ``advice``, which depends on the moment.
    ``code`` is stored with a run and printed as JSON: the name of the class, unless it sets another.
    """

    code: ClassVar[str] = "OpsError"
    exit_status = 1

    def __init_subclass__(cls) -> None:
        cls.code = vars(cls).get("code", cls.__name__)

    def __init__(self, reason: str = "", advice: str = "") -> None:
        self.reason, self.advice = reason, advice
        super().__init__(f"{reason} {advice}".strip())


class InvalidDeclaration(OpsError):
    """An operation is declared in a way that the engine cannot run."""


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
    """The table of transitions does not allow the run's change of state."""

    code = "IllegalMove"  # stored by earlier versions


class ColumnClaimed(OpsError):
    """Another run writes one of the columns: ``holder``, a Run, unless several keep reserving them."""

    def __init__(self, reason: str, advice: str = "", holder: Any = None) -> None:
        self.holder = holder
        super().__init__(reason, advice)


class DeclarationChanged(OpsError):
    """The operation is not the one that the run was created with."""

    code = "ChangedDeclaration"  # stored by earlier versions


class NonTerminating(OpsError):
    """Rows that the operation changed still match its queryset."""

    code = "NeverShrinks"  # stored by earlier versions


class TooManyFailures(OpsError):
    """More rows failed than ``--max-failures`` allows."""


class AllRowsFailed(OpsError):
    """Many rows failed and none succeeded, so that the rows cannot be at fault."""

    code = "NoneSucceeds"  # stored by earlier versions


class DatabaseUnavailable(OpsError):
    """The database did not come back in time; the run keeps what its last batch did."""


class RunLost(OpsError):
    """The run is no longer in the database, as after a failover to a server that did not have it yet."""

    def __init__(self, run: int) -> None:
        super().__init__(
            f"Run {run} is no longer in the database: a failover or the restore of a backup lost it."
            f" To see the runs: {manage_command('runs')}"
        )


class WriteInReadOnlyTransaction(OpsError, InternalError):
    """An operation writes during a preview or a check, which are read-only."""

    code = "WritesWhereItReads"  # stored by earlier versions


class Interrupted(OpsError):
    """The user interrupted something that cannot be resumed."""

    exit_status = 130


class InvalidContent(OpsError):
    """A file or a text is readable, but its content is not valid."""


class RunHeld(Exception):
    """The run is held: no batch begins before the hold ends."""


def get_error_code(error: Exception) -> str:
    """The name under which a run stores an error that has no SQLSTATE."""
    return error.code if isinstance(error, OpsError) else type(error).__name__
