"""Asking the indicators about a run at work.

# Note [Asked beside the batches]
The engine holds locks only while a batch is under way. Asked between two batches, a process that works alone
would never see anybody wait for it, and a probe would measure a database that it had just left in peace. So
a thread asks, once a second, on a connection of its own; it writes the hold, and the loop reads it with the
state of the run. Before the first batch and after every hold the loop itself asks, so that no batch begins
on a database that is sick.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import timedelta
from queue import Empty, SimpleQueue
from threading import Event, Lock, Thread

from django.conf import settings
from django.db import Error, connection
from psycopg import sql

from ops.health.hold import held_filter, hold_run, release_expired_hold
from ops.health.indicator import Indicator, Unhealthy, fetch_rows
from ops.health.indicators import INDICATORS
from ops.models import Run
from ops.retries import is_unavailable
from ops.states import State

CHECK_INTERVAL = timedelta(seconds=1)
# Asked to end, the thread may be in the middle of a question.
_JOIN_TIMEOUT = timedelta(seconds=2)


class IndicatorUnavailable(Exception):
    """An indicator cannot be asked, and why."""


class HealthMonitor:
    """Asks about one run; entered, it also asks beside the work, until it is left."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.indicators = [indicator(run, settings.OPS_HEALTH) for indicator in INDICATORS]
        self._granted: set[str] = set()
        self._notes: SimpleQueue[str] = SimpleQueue()
        self._one_at_a_time, self._over = Lock(), Event()
        self._thread = Thread(target=self._ask_beside, name=f"health of run {run.pk}", daemon=True)

    def __enter__(self) -> HealthMonitor:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self._thread.join(_JOIN_TIMEOUT.total_seconds())

    def ask(self) -> None:
        """Hold the run if an indicator is sick; let it go if none is and the time of its hold is over.

        Nothing is asked while the run is held, or no longer runs.
        """
        with self._one_at_a_time:
            asked = self._asked()
            if asked is None:
                return
            ignored, known = asked
            sick, silent = self.answers(ignored)
            if sick:
                reasons = "; ".join(f"{name}: {told.reason}" for name, told in sick.items())
                hold_run(self.run, reasons, max(told.hold for told in sick.values()))
            else:
                release_expired_hold(self.run)
            self._record(silent, known)

    def notes(self) -> list[str]:
        """What there is to tell since the last time."""
        told = []
        while True:
            try:
                told.append(self._notes.get_nowait())
            except Empty:
                return told

    def _asked(self) -> tuple[list[str], Mapping[str, str]] | None:
        """The names that the run ignores, and those known to be silent; None where nothing is to be asked."""
        run = Run.objects.filter(~held_filter(), pk=self.run.pk, state=State.RUNNING)
        return run.values_list("ignored_health", "silent_health").first()

    def answers(self, ignored: Collection[str] = ()) -> tuple[dict[str, Unhealthy], dict[str, str]]:
        """Those that are sick, and those that cannot be asked, with the reason; by name."""
        sick, silent = {}, {}
        for indicator in self.indicators:
            if indicator.name in ignored:
                continue
            try:
                if answer := self._answer(indicator):
                    sick[indicator.name] = answer
            except IndicatorUnavailable as exc:
                silent[indicator.name] = str(exc)
        return sick, silent

    def _answer(self, indicator: Indicator) -> Unhealthy | None:
        """What it says. Raises Silence, which stops no run, and the error of a connection that is lost."""
        try:
            self._require(indicator.role)
            return indicator.ask()
        except Exception as exc:
            if isinstance(exc, Error) and is_unavailable(exc):
                raise
            raise IndicatorUnavailable(str(exc).strip().partition("\n")[0] or type(exc).__name__) from exc

    def _require(self, role: str | None) -> None:
        """Raise Silence where PostgreSQL would show nothing for want of the role."""
        if role is None or role in self._granted:
            return
        [(allowed, user)] = fetch_rows("SELECT pg_has_role(%s, 'USAGE'), current_user", role)
        if not allowed:
            named = sql.Identifier(user).as_string()
            raise IndicatorUnavailable(f"The role {named} lacks {role}: GRANT {role} TO {named}")
        self._granted.add(role)

    def _record(self, silent: Mapping[str, str], known: Mapping[str, str]) -> None:
        """Write on the run what cannot be asked, and tell what was not known of it."""
        if silent.keys() == known.keys():
            return
        Run.objects.filter(pk=self.run.pk).update(silent_health=silent)
        for words in format_unavailable({name: why for name, why in silent.items() if name not in known}):
            self._notes.put(words)

    def _ask_beside(self) -> None:
        """See Note [Asked beside the batches]. When the database is away, the loop says so."""
        try:
            while not self._over.wait(CHECK_INTERVAL.total_seconds()):
                try:
                    self.ask()
                except Error:
                    connection.close()
        finally:
            connection.close()


def format_unavailable(silent: Mapping[str, str]) -> list[str]:
    """Which indicators cannot be asked, in words, those of one reason together."""
    reasons = dict.fromkeys(silent.values())
    names = [", ".join(name for name in silent if silent[name] == reason) for reason in reasons]
    return [f"cannot be asked: {name}. {reason}" for name, reason in zip(names, reasons, strict=True)]
