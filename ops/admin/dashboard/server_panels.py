"""The dashboard's panels about the server: backups, preflight, slow statements, column changes."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.utils import timezone

from ops import permissions
from ops.admin.dashboard.dashboard import Panel, register_panel
from ops.backups.listing import latest_backup
from ops.column_changes.declaration import ColumnChange
from ops.column_changes.registry import list_changes
from ops.column_changes.steps import Step
from ops.column_changes.taking.status import ChangeStatus, read_status
from ops.command_lines import manage_command
from ops.formatting import format_duration, format_size, format_time_in_words, truncate
from ops.models import Backup
from ops.preflight.checklist import CHECKS, iter_findings
from ops.preflight.finding import Finding, PreflightContext, Severity
from ops.stats.statements import ExtensionMissing, Statement, fetch_top_statements

_DEFAULT_MAX_AGE = timedelta(hours=24)  # if runs need no backup
_MAX_STATEMENTS = 5
_STATEMENT_WIDTH = 160
# Only a person can answer these, or they read whole tables, or all the code.
_LONG_CHECKS = {"rehearsal", "rollback plan", "downtime", "team", "monitoring", "data", "drift"}
_DASHBOARD_CHECKS = tuple(name for name in CHECKS if name not in _LONG_CHECKS)


def read_backup(request: HttpRequest) -> dict[str, Any]:
    verified, newest = latest_backup(verified=True), latest_backup()
    is_newer = newest and (verified is None or newest.path != verified.path)
    return {
        "backup": verified and _describe_backup(verified),
        "newer": newest and is_newer and _describe_backup(newest),
        "max_age": format_duration(_get_max_age()),
        "command": manage_command("backup_db", "--verify"),
    }


def _describe_backup(backup: Backup) -> dict[str, Any]:
    age, taken = timezone.now() - backup.started_at, timezone.localtime(backup.started_at)
    return {
        "name": backup.file.name,
        "age": format_duration(age),
        "is_old": age > _get_max_age(),
        "taken": f"{format_time_in_words(taken, timezone.localtime())} {taken:%Z}",
        "size": format_size(backup.size),
    }


def _get_max_age() -> timedelta:
    return settings.OPS_BACKUP_MAX_AGE or _DEFAULT_MAX_AGE


def read_preflight(request: HttpRequest) -> dict[str, Any]:
    findings = dict(iter_findings(PreflightContext(), _DASHBOARD_CHECKS))
    return {
        "red": _list_by_severity(findings, Severity.RED),
        "yellow": _list_by_severity(findings, Severity.YELLOW),
        "checks": len(findings),
        "command": manage_command("preflight"),
    }


def _list_by_severity(findings: dict[str, Finding], severity: Severity) -> list[tuple[str, Finding]]:
    return [(name, finding) for name, finding in findings.items() if finding.severity == severity]


def read_statements(request: HttpRequest) -> dict[str, Any]:
    found = fetch_top_statements(_MAX_STATEMENTS)
    if isinstance(found, ExtensionMissing):
        return {"missing": found}
    return {"statements": [_describe_statement(each) for each in found]}


def _describe_statement(statement: Statement) -> dict[str, str]:
    return {
        "query": truncate(statement.query, _STATEMENT_WIDTH),
        "calls": f"{statement.calls:,}",
        "mean": f"{statement.mean / timedelta(milliseconds=1):,.1f} ms",
        "total": format_duration(statement.total),
    }


def read_column_changes(request: HttpRequest) -> dict[str, Any]:
    return {"changes": [_describe_change(read_status(change)) for change in list_changes()]}


def _describe_change(status: ChangeStatus) -> dict[str, Any]:
    change, steps = status.change, status.change.list_steps()
    done = [step for step in steps if status.is_done(step)]
    return {
        "columns": f"{change.old} → {change.new}" if issubclass(change, ColumnChange) else change.old,
        "model": change.model._meta.verbose_name_plural,
        "steps": [(step.label.lower(), _get_step_state(status, step)) for step in steps],
        "done": f"{len(done)} of {len(steps)} steps",
        "next": status.next and status.next.label.lower(),
        "missing": status.missing,
        "command": manage_command("column_change", status.name),
    }


def _get_step_state(status: ChangeStatus, step: Step) -> str:
    if status.is_done(step):
        return "done"
    return "next" if step == status.next else "later"


def _iter_panels() -> Iterator[Panel]:
    template = "ops/admin/panels/{}.html"
    yield Panel(
        "backup",
        "Last verified backup",
        template.format("backup"),
        "ops.view_backup",
        read_backup,
        position=50,
        interval=60,
    )
    yield Panel(
        "preflight",
        "Before a migration",
        template.format("preflight"),
        permissions.VIEW_PREFLIGHT,
        read_preflight,
        position=60,
    )
    yield Panel(
        "column_changes",
        "Column changes",
        template.format("column_changes"),
        "ops.view_columnchangeevent",
        read_column_changes,
        position=70,
    )
    yield Panel(
        "statements",
        "Slow statements",
        template.format("statements"),
        permissions.VIEW_STATISTICS,
        read_statements,
        position=80,
        columns=3,
    )


for _panel in _iter_panels():
    register_panel(_panel)
