"""The lines of the checklist, in the order in which they are told."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from django.db import DatabaseError

from ops.preflight import migrations, objects, people, runs, server, space
from ops.preflight.line import Light, Line, Situation, worst

CHECKS: tuple[Callable[[Situation], Line], ...] = (
    migrations.unapplied,
    migrations.unsafe,
    migrations.drifted,
    people.rollback_plan,
    people.downtime,
    people.team_notified,
    people.monitoring,
    runs.workers,
    runs.active_runs,
    runs.failed_runs,
    runs.rows_refused,
    objects.invalid_indexes,
    objects.unvalidated_constraints,
    server.long_transactions,
    server.prepared_transactions,
    server.replication,
    space.database_disk,
    space.local_disk,
    objects.scratch_databases,
)


def go_through(situation: Situation) -> Iterator[Line]:
    """Every line, one after the other; what cannot be seen is yellow, with the reason."""
    for check in CHECKS:
        try:
            yield check(situation)
        except DatabaseError as exc:
            reason = str(exc).splitlines()[0]
            yield Line(check.__name__.replace("_", " "), Light.YELLOW, f"Cannot be seen: {reason}")


def verdict(lines: list[Line]) -> Light:
    return worst(*(line.light for line in lines))
