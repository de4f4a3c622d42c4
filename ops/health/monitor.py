"""Check the health indicators while a run works, and hold the run.

# Note [Checked beside the batches]
The engine holds locks only during a batch. If a process checked between its batches, and worked alone, it
would never see a session wait for it, and its probe would measure a database without load. So a thread checks
once a second, on a connection of its own; it writes the hold, and the loop reads it with the state of the
run. Before the first batch and after every hold the loop itself checks, so that no batch begins on an
unhealthy database.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import suppress
from datetime import timedelta
from queue import Empty, SimpleQueue
from threading import Event, Lock, Thread

from django.conf import settings
from django.db import Error, connection
from psycopg import sql

from ops.formatting import first_line
from ops.health.hold import held_filter, hold_run, release_expired_hold
from ops.health.indicator import Indicator, Unhealthy, fetch_with_timeout
from ops.health.indicators import INDICATORS
from ops.models import Run
from ops.retries import is_unavailable
from ops.sql.samples import record_sample
from ops.states import State

CHECK_INTERVAL = timedelta(seconds=1)
# When asked to end, the thread may be in the middle of a check.
_JOIN_TIMEOUT = timedelta(seconds=2)


class IndicatorUnavailable(Exception):
    """An indicator cannot be checked, and why."""


class HealthMonitor:
    """The health indicators of one run. As a context manager it also checks them in a thread.

    The thread records the run's samples too, since it is there already.
    """

    def __init__(self, run: Run) -> None:
        self.run = run
        self.indicators = [indicator(run, settings.OPS_HEALTH) for indicator in INDICATORS]
        self._granted_roles: set[str] = set()
        self._notes: SimpleQueue[str] = SimpleQueue()
        self._lock, self._stopped = Lock(), Event()
        self._thread = Thread(target=self._check_periodically, name=f"health of run {run.pk}", daemon=True)

    def __enter__(self) -> HealthMonitor:
        self._record_sample()
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        self._stopped.set()
        self._thread.join(_JOIN_TIMEOUT.total_seconds())
        if kind is None:
            self._record_sample(is_last=True)

    def _record_sample(self, *, is_last: bool = False) -> None:
        with suppress(Error):  # It matters only to the plot, and the loop reports a lost connection.
            record_sample(self.run, is_last=is_last)

    def check(self) -> None:
        """Hold the run if an indicator is unhealthy; release an expired hold if none is.

        Nothing is checked while the run is held, or is not running.
        """
        with self._lock:
            excluded = self._read_excluded()
            if excluded is None:
                return
            ignored, reported = excluded
            unhealthy, unavailable = self.evaluate(ignored)
            if unhealthy:
                reason = "; ".join(f"{name}: {result.reason}" for name, result in unhealthy.items())
                hold_run(self.run, reason, max(result.hold for result in unhealthy.values()))
            else:
                release_expired_hold(self.run)
            self._record_unavailable(unavailable, reported)

    def drain_notes(self) -> list[str]:
        """Return and forget the notes that were made since the last call."""
        notes = []
        while True:
            try:
                notes.append(self._notes.get_nowait())
            except Empty:
                return notes

    def _read_excluded(self) -> tuple[list[str], Mapping[str, str]] | None:
        """Return the ignored indicators, and those reported as unavailable with their reasons.

        None where the run is held or is not running.
        """
        run = Run.objects.filter(~held_filter(), pk=self.run.pk, state=State.RUNNING)
        return run.values_list("ignored_health", "silent_health").first()

    def evaluate(self, ignored: Collection[str] = ()) -> tuple[dict[str, Unhealthy], dict[str, str]]:
        """Return the unhealthy indicators, and the unavailable ones with the reason; both by name."""
        unhealthy, unavailable = {}, {}
        for indicator in self.indicators:
            if indicator.name in ignored:
                continue
            try:
                if result := self._check_indicator(indicator):
                    unhealthy[indicator.name] = result
            except IndicatorUnavailable as exc:
                unavailable[indicator.name] = str(exc)
        return unhealthy, unavailable

    def _check_indicator(self, indicator: Indicator) -> Unhealthy | None:
        """Check one indicator. Raises IndicatorUnavailable, or the error of a lost connection."""
        try:
            self._require_role(indicator.role)
            return indicator.check()
        except Exception as exc:
            if isinstance(exc, Error) and is_unavailable(exc):
                raise
            raise IndicatorUnavailable(first_line(exc)) from exc

    def _require_role(self, role: str | None) -> None:
        """Raise IndicatorUnavailable where PostgreSQL would show NULL because the role is missing."""
        if role is None or role in self._granted_roles:
            return
        [(allowed, user)] = fetch_with_timeout("SELECT pg_has_role(%s, 'USAGE'), current_user", role)
        if not allowed:
            name = sql.Identifier(user).as_string()
            raise IndicatorUnavailable(f"The role {name} lacks {role}: GRANT {role} TO {name}")
        self._granted_roles.add(role)

    def _record_unavailable(self, unavailable: Mapping[str, str], reported: Mapping[str, str]) -> None:
        """Write the unavailable indicators on the run, and make a note of those not yet reported."""
        if unavailable.keys() == reported.keys():
            return
        Run.objects.filter(pk=self.run.pk).update(silent_health=unavailable)
        added = {name: reason for name, reason in unavailable.items() if name not in reported}
        for note in format_unavailable(added):
            self._notes.put(note)

    def _check_periodically(self) -> None:
        """See Note [Checked beside the batches]. That the database is unavailable is reported by the loop."""
        try:
            while not self._stopped.wait(CHECK_INTERVAL.total_seconds()):
                try:
                    self.check()
                    record_sample(self.run)
                except Error:
                    connection.close()
        finally:
            connection.close()


def format_unavailable(unavailable: Mapping[str, str]) -> list[str]:
    """Return a line for each reason, with the names of the indicators that have it."""
    reasons = dict.fromkeys(unavailable.values())
    names = [", ".join(name for name in unavailable if unavailable[name] == reason) for reason in reasons]
    return [f"cannot be checked: {name}. {reason}" for name, reason in zip(names, reasons, strict=True)]
