from __future__ import annotations

from datetime import timedelta
from time import perf_counter

from django.db import OperationalError
from django.utils.module_loading import import_string
from psycopg.errors import QueryCanceled

from ops.health.indicator import Indicator, Unhealthy, fetch_rows


class PlayerLatency(Indicator):
    """What a player feels, by the probe that the settings name."""

    name = "player_latency"

    def ask(self) -> Unhealthy | None:
        probe = self.limits.player_probe.strip()
        if not probe:
            return None
        milliseconds = _measure_statement_ms(probe) if " " in probe else _measure_callable_ms(probe)
        if milliseconds > self.limits.player_latency_ms:
            return self.sick(f"players wait {milliseconds:,.0f} ms (limit {self.limits.player_latency_ms:,})")
        return None


def _measure_statement_ms(statement: str) -> float:
    """How long the statement takes; one that is cancelled took as long as anybody would wait."""
    began = perf_counter()
    try:
        fetch_rows(statement)
    except OperationalError as exc:
        if not isinstance(exc.__cause__, QueryCanceled):
            raise
    return (perf_counter() - began) * 1000


def _measure_callable_ms(path: str) -> float:
    told = import_string(path)()
    return (told if isinstance(told, timedelta) else timedelta(seconds=told)) / timedelta(milliseconds=1)
