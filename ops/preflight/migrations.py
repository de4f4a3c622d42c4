"""Migrations: which are to be applied, whether they are safe, and whether the schema is what it should be."""

from __future__ import annotations

from django.db.migrations import Migration

from ops import words
from ops.backups.errors import Failed
from ops.preflight.finding import Finding, Light, Situation, worst
from ops.preflight.squawk import NoLinter
from ops.preflight.unsafe import Unsafe, judge
from ops.schema.drift import drift
from ops.session import NeedsSession
from ops.standing import Standing, name_of
from ops.typed import manage

_SHOWN = 12


def unapplied(situation: Situation) -> Finding:
    now = situation.standing
    if now.unknown:
        names = tuple(".".join(key) for key in now.unknown)
        todo = ("Deploy the code that the database was migrated with, or a newer one.",)
        return Finding(Light.RED, "The database is ahead of this code.", names, todo)
    if now.conflicts:
        names = tuple(f"{app}: {', '.join(found)}" for app, found in now.conflicts.items())
        todo = (manage("makemigrations", "--merge"),)
        return Finding(Light.RED, "There is more than one last migration.", names, todo)
    if now.undeclared:
        told = tuple(f"{app}: {what}" for app, found in now.undeclared.items() for what in found)
        todo = (manage("makemigrations"),)
        return Finding(Light.RED, "Models were changed without a migration.", told, todo)
    if not now.unapplied:
        return Finding(Light.GREEN, f"All {len(now.applied)} are applied.")
    found = f"{words.plural(len(now.unapplied), 'migration')} to apply."
    names = tuple(map(name_of, now.unapplied))
    return Finding(Light.GREEN, found, names, (f"When all is ready: {manage('migrate')}",))


def unsafe(situation: Situation) -> Finding:
    waiting = situation.standing.unapplied
    if not waiting:
        return Finding(Light.GREEN, "No migration, so nothing that locks or breaks.")
    try:
        found = [(m, each) for m in waiting for each in _judged(situation.standing, m)]
    except NoLinter as exc:
        return Finding(Light.YELLOW, str(exc))
    if not found:
        return Finding(Light.GREEN, "They lock nothing for long, and break nothing that runs.")
    details = tuple(line for migration, each in found for line in _told(migration, each))
    light = worst(*(each.light for _, each in found))
    todo = ("Change them, or plan a downtime and stop the site and the workers.",)
    count = words.plural(len(found), "step")
    return Finding(light, f"{count} not safe while players play.", details, todo)


def drifted(situation: Situation) -> Finding:
    try:
        found = drift(situation.standing)
    except (Failed, NeedsSession) as exc:
        first, *rest = str(exc).splitlines()
        return Finding(Light.YELLOW, first, tuple(rest))
    if not found:
        return Finding(Light.GREEN, "The schema is what its applied migrations make.")
    told = [difference.words for difference in found]
    more = [f"and {len(told) - _SHOWN} more"] if len(told) > _SHOWN else []
    harmless = all(difference.expected is None for difference in found)
    return Finding(
        Light.YELLOW if harmless else Light.RED,
        f"{words.plural(len(found), 'difference')} from what the migrations make.",
        (*told[:_SHOWN], *more),
        (f"To see the definitions: {manage('schema_drift')}",),
    )


def _judged(now: Standing, migration: Migration) -> list[Unsafe]:
    before = now.loader.project_state((migration.app_label, migration.name), at_end=False)
    return judge(migration, before)


def _told(migration: Migration, each: Unsafe) -> tuple[str, ...]:
    return (f"{each.light} {name_of(migration)}: {each.does}: {each.why}", f"  safe: {each.instead}")
