from __future__ import annotations

from datetime import timedelta
from time import perf_counter

from django.db import OperationalError
from django.utils.module_loading import import_string
from psycopg.errors import QueryCanceled

from ops.health.indicator import Indicator, Unhealthy, fetch_with_timeout


class PlayerLatency(Indicator):
    """The latency that players see, measured by the probe that the settings name."""

    name = "player_latency"

    def check(self) -> Unhealthy | None:
        probe = self.limits.player_probe.strip()
        if not probe:
            return None
        milliseconds = _measure_statement_ms(probe) if " " in probe else _measure_callable_ms(probe)
        if milliseconds > self.limits.player_latency_ms:
            return self.unhealthy(
                f"players wait {milliseconds:,.0f} ms (limit {self.limits.player_latency_ms:,})"
            )
        return None


def _measure_statement_ms(statement: str) -> float:
    """Time the statement; one that reached its timeout counts with the time until then."""
    started = perf_counter()
    try:
        fetch_with_timeout(statement)
    except OperationalError as exc:
        if not isinstance(exc.__cause__, QueryCanceled):
            raise
    return (perf_counter() - started) * 1000


def _measure_callable_ms(path: str) -> float:
    """Call the probe, which returns a timedelta or seconds."""
    latency = import_string(path)()
    if not isinstance(latency, timedelta):
        latency = timedelta(seconds=latency)
    return latency / timedelta(milliseconds=1)
