"""``manage.py column_change [NAME [plan|next|back]]``: where column changes stand, and their next steps."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any

from django.core.management import call_command
from django.core.management.base import CommandError, CommandParser

from ops.column_changes import registry
from ops.column_changes.backfill import build_operation as build_backfill
from ops.column_changes.declaration import BaseColumnChange, ColumnChange
from ops.column_changes.planning import plan as planning
from ops.column_changes.planning.removal_plan import plan_removal
from ops.column_changes.planning.retirement import write_drop, write_retirement
from ops.column_changes.steps import Step
from ops.column_changes.taking.actions import (
    Action,
    Migrate,
    Record,
    ResumeRun,
    StartRun,
    Verify,
    WriteMigration,
    back_action,
    next_action,
)
from ops.column_changes.taking.recording import record, step_lock
from ops.column_changes.taking.status import read_status
from ops.column_changes.taking.verification import verify_change
from ops.command_lines import manage_command
from ops.management.arguments import (
    add_json_argument,
    add_mode_arguments,
    add_performed_by_argument,
    get_performed_by_flags,
)
from ops.management.base import OpsCommand
from ops.models import Run
from ops.operations.revert import Revert
from ops.report import column_change as report
from ops.report import column_change_steps as report_steps
from ops.report import preview as report_preview
from ops.report.column_usage import read_usage, usage_document
from ops.report.run import format_checks
from ops.runs import lifecycle
from ops.runs.creation import RunRequest, create_run
from ops.runs.preview import build_preview
from ops.session import direct_connection
from ops.users import performing_as

_VERBS = {"next": next_action, "back": back_action}


class Command(OpsCommand):
    help = (
        "List the column changes; show one; write its migrations; take its next step, or the last one back."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", nargs="?", metavar="NAME", help="The change; all of them if left out.")
        parser.add_argument(
            "verb",
            nargs="?",
            choices=["plan", *_VERBS],
            metavar="plan|next|back",
            help="plan: write its migrations (with --dry-run: only show them). next, back: preview its next"
            " step, or how its last one is taken back; with --execute, do it.",
        )
        add_mode_arguments(parser)
        add_performed_by_argument(parser, "log of the change")
        add_json_argument(parser)

    def handle(self, **options: Any) -> None:
        if options["execute"] and options["verb"] not in _VERBS:
            raise CommandError("--execute goes with next or back.", returncode=2)
        if options["name"] is None:
            self.list_changes(options["json"])
            return
        change = registry.get_change(options["name"])
        if options["verb"] in _VERBS:
            self.move(options["name"], options)
        elif options["verb"] == "plan":
            self.plan(change, options)
        elif options["json"]:
            status = read_status(change)
            self.write_json(report.status_document(status, **usage_document(read_usage(status))))
        else:
            self.write_lines(report.format_status(read_status(change)))

    def list_changes(self, as_json: bool) -> None:
        changes = list(map(read_status, registry.list_changes()))
        if as_json:
            for status in changes:
                self.write_json(report.status_document(status))
        else:
            self.write_lines(report.format_list(changes))

    def plan(self, change: type[BaseColumnChange], options: Mapping[str, Any]) -> None:
        planned = planning.plan(change) if issubclass(change, ColumnChange) else plan_removal(change)
        is_preview = options["dry_run"] and not planned.obstacles  # which write_plan raises
        paths = [] if is_preview else planning.write_plan(planned)
        if options["json"]:
            self.write_json(report_steps.plan_document(planned, paths))
        elif options["dry_run"]:
            self.write_lines(report_steps.format_planned(planned))
        else:
            self.write_lines(report_steps.format_plan_written(planned, paths))

    def move(self, name: str, options: Mapping[str, Any]) -> None:
        change, find_action = registry.get_change(name), _VERBS[options["verb"]]
        if not options["execute"]:
            self.preview(find_action(read_status(change)), options)
            return
        with direct_connection(), step_lock(name, options["performed_by"]):
            action = find_action(read_status(change))
            if isinstance(action, WriteMigration):
                self.write_migration(action, options["json"])
                return
            getattr(self, f"take_by_{action.kind}")(action, options)
            status = read_status(change)
            if options["json"]:
                self.write_json(report_steps.step_document(status, action))
            else:
                self.write_lines(report_steps.format_recorded(status, action))

    def preview(self, action: Action, options: Mapping[str, Any]) -> None:
        if options["json"]:
            self.write_json(report_steps.action_document("column_change_preview", action))
            return
        self.write_lines(report_steps.format_action(action))
        if isinstance(action, Migrate):
            call_command("migrate", action.migration.app, action.target, plan=True)
        if isinstance(action, StartRun):
            preview = build_preview(_run_request(action, options))
            self.write_lines(["", *report_preview.as_lines(preview)])
        flags = get_performed_by_flags(options["performed_by"])
        command = manage_command("column_change", action.name, options["verb"], "--execute", *flags)
        self.write_lines(["", f"Nothing was written. To execute: {command}"])

    def write_migration(self, action: WriteMigration, as_json: bool) -> None:
        write = {Step.RETIRE: write_retirement, Step.DROP: write_drop}[action.step]
        path = write(action.status.change)
        if as_json:
            self.write_json(report_steps.action_document("column_change_written", action, file=str(path)))
        else:
            self.write_lines(report_steps.format_written(action, path))

    def take_by_migrate(self, action: Migrate, options: Mapping[str, Any]) -> None:
        """Apply the migration or take it back; it records the step."""
        verbosity = 0 if options["json"] else options["verbosity"]
        with performing_as(options["performed_by"]):
            call_command(
                "migrate", action.migration.app, action.target, verbosity=verbosity, interactive=False
            )

    def take_by_start_run(self, action: StartRun, options: Mapping[str, Any]) -> None:
        self.finish_run(action, create_run(_run_request(action, options)), options)

    def take_by_resume_run(self, action: ResumeRun, options: Mapping[str, Any]) -> None:
        lifecycle.requeue(action.run, options["performed_by"])
        lifecycle.assign_workers(action.run, None)
        self.finish_run(action, action.run, options)

    def finish_run(self, action: Action, run: Run, options: Mapping[str, Any]) -> None:
        """Execute the run in the foreground, and record the step with it if it succeeds."""
        self.execute_run(run, options["json"])
        record(action, options["performed_by"], run=run)

    def get_hints(self, run: Run) -> list[str]:
        return []  # the command itself says what comes next

    def take_by_verify(self, action: Verify, options: Mapping[str, Any]) -> None:
        checks, notes = verify_change(action.status.replacement)
        if options["json"]:
            self.write_json({"event": "checks", "checks": checks, "notes": notes})
        else:
            self.write_lines([*format_checks(checks), *report_steps.format_notes(notes)])
        if any(check["found"] for check in checks):
            sys.exit(1)
        record(action, options["performed_by"], details={"checks": checks, "notes": notes})

    def take_by_record(self, action: Record, options: Mapping[str, Any]) -> None:
        record(action, options["performed_by"], run=action.run)

    def write_json(self, document: Mapping[str, Any]) -> None:
        self.stdout.write(json.dumps(document))


def _run_request(action: StartRun, options: Mapping[str, Any]) -> RunRequest:
    if action.reverts:
        return RunRequest(Revert, options["performed_by"], params={"run": action.reverts.pk})
    return RunRequest(build_backfill(action.status.replacement), options["performed_by"])
