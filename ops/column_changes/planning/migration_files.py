"""Write migration files: numbered after the newest of their app, all of them or none."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from importlib import invalidate_caches
from pathlib import Path
from sysconfig import get_path

from django.db.migrations import Migration
from django.db.migrations.autodetector import MigrationAutodetector
from django.db.migrations.exceptions import BadMigrationError, NodeNotFoundError
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.operations.base import Operation
from django.db.migrations.writer import MigrationWriter

from ops.atomic_files import fsync_directory, write_synced
from ops.command_lines import manage_command
from ops.exceptions import OpsError
from ops.sql.watched_column import WatchedColumn

Dependency = tuple[str, str]
# The migration that creates the log of column changes, which every migration of one writes.
LOG_MIGRATION: Dependency = ("ops", "0016_column_changes")


class MigrationNotWritten(OpsError):
    """No migration file was written."""


def write_migration(
    app_label: str, suffix: str, operations: Sequence[Operation], dependencies: Iterable[Dependency] = ()
) -> Path:
    """Write a migration that follows the app's newest one, and return its file.

    It depends on that, on the log of column changes, and on ``dependencies``. Raises MigrationNotWritten.
    """
    loader = load_migrations(app_label)
    [path] = write_migrations([build_migration(loader, app_label, suffix, operations, dependencies)])
    return path


def load_migrations(app_label: str) -> MigrationLoader:
    """Load the migration files. Raises MigrationNotWritten if none can be added to those of the app."""
    invalidate_caches()  # a file may have been written in this second
    try:
        loader = MigrationLoader(None)
    except (BadMigrationError, NodeNotFoundError) as exc:
        raise MigrationNotWritten(f"The migrations cannot be loaded: {exc}.") from exc
    if app_label not in loader.migrated_apps:
        raise MigrationNotWritten(
            f"The app {app_label} has no migrations.",
            f"Write the first one: {manage_command('makemigrations', app_label)}",
        )
    if names := loader.detect_conflicts().get(app_label):
        raise MigrationNotWritten(
            f"The app {app_label} has {len(names)} newest migrations: {', '.join(sorted(names))}.",
            f"Merge them: {manage_command('makemigrations', '--merge')}",
        )
    return loader


def build_migration(
    loader: MigrationLoader,
    app_label: str,
    suffix: str,
    operations: Sequence[Operation],
    dependencies: Iterable[Dependency] = (),
    after: Migration | None = None,
) -> Migration:
    """Return a migration that follows ``after``, or else the app's newest one."""
    leaves = [(app_label, after.name)] if after else loader.graph.leaf_nodes(app_label)
    numbers = [MigrationAutodetector.parse_number(name) or 0 for _, name in leaves]
    parts = {
        "operations": list(operations),
        "dependencies": list(dict.fromkeys([*leaves, LOG_MIGRATION, *dependencies])),
    }
    declared: type[Migration] = type("Migration", (Migration,), parts)
    return declared(f"{max(numbers, default=0) + 1:04}_{suffix}", app_label)


def write_migrations(migrations: Sequence[Migration]) -> list[Path]:
    """Write the files of the migrations and return them. Raises MigrationNotWritten, and leaves none."""
    texts = {_path(migration): _format(migration) for migration in migrations}
    written: list[Path] = []
    try:
        for path, text in texts.items():
            write_synced(path, text, overwrite=False)
            written.append(path)
        for folder in {path.parent for path in written}:
            fsync_directory(folder)
    except OSError as exc:
        _remove(written)
        raise MigrationNotWritten(f"{path} cannot be written: {exc.strerror}.") from exc
    except BaseException:
        _remove(written)
        raise
    invalidate_caches()
    return written


def _format(migration: Migration) -> str:
    """Return the text of the file, with each part of a watched column on a line of its own."""
    text = MigrationWriter(migration, include_header=False).as_string()
    arguments = (each for operation in migration.operations for each in operation.deconstruct()[2].values())
    for column in (each for each in arguments if isinstance(each, WatchedColumn)):
        path, _, parts = column.deconstruct()
        lines = (f"                {name}={part!r},\n" for name, part in parts.items())
        spread = f"{path}(\n{''.join(lines)}            )"
        text = text.replace(MigrationWriter.serialize(column)[0], spread)
    return text


def _remove(paths: Iterable[Path]) -> None:
    for path in paths:
        path.unlink(missing_ok=True)


def _path(migration: Migration) -> Path:
    """Return the file of the migration. Raises MigrationNotWritten if there is no place for it."""
    try:
        path = Path(MigrationWriter(migration).path)
    except ValueError as exc:
        raise MigrationNotWritten(str(exc)) from exc
    if any(path.is_relative_to(get_path(name)) for name in ("purelib", "platlib")):
        raise MigrationNotWritten(
            f"{migration.app_label} is installed in {path.parent}.",
            "Use an app of your own project, or name a folder for its migrations in MIGRATION_MODULES.",
        )
    return path
