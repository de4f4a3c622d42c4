from __future__ import annotations

import json
import sys
from contextlib import suppress
from typing import Any

from django.core.management.base import CommandParser
from django.db import connection

from ops.management.arguments import make_argument_type
from ops.management.base import OpsCommand
from ops.parsing import parse_duration, parse_size
from ops.preflight import manual
from ops.preflight.checklist import FindingsByName, iter_findings, overall_severity
from ops.preflight.finding import ManualAnswers, PreflightContext, Severity
from ops.report import preflight as report


class Command(OpsCommand):
    help = "Run the checklist before a migration. Exits with 1 if a check is red."
    needs_direct_connection = True

    def add_arguments(self, parser: CommandParser) -> None:
        yes: dict[str, Any] = {"nargs": "?", "const": "yes", "type": manual.parse_answer}
        parser.add_argument(
            "--team-notified", **yes, metavar="HOW", help="Whether or how the team was notified."
        )
        duration = make_argument_type(parse_duration, "a duration. Type for example 15min, 1h 30min or 0.")
        parser.add_argument(
            "--downtime", type=duration, metavar="SPAN", help="Longest expected downtime; 0 for none."
        )
        plan = "How to roll back: a sentence or a file."
        parser.add_argument("--rollback-plan", type=manual.parse_answer, metavar="TEXT|FILE", help=plan)
        parser.add_argument("--monitoring", **yes, metavar="WHO", help="Who watches the database.")
        size = make_argument_type(parse_size, "a size. Type for example 500MB or 1.5TB.")
        free = "Free space of the database's disk, if it is not visible from here."
        parser.add_argument("--database-free", type=size, metavar="SIZE", help=free)
        rehearse = "Restore the newest backup into a scratch database, migrate and check it, then drop it."
        parser.add_argument("--rehearse", action="store_true", help=rehearse)
        parser.add_argument("--no-input", action="store_true", help="Do not ask questions in a terminal.")
        parser.add_argument("--json", action="store_true", help="Write one JSON object.")

    def handle(self, **options: Any) -> None:
        answers = ManualAnswers(**{name: options[name] for name in ManualAnswers.__dataclass_fields__})
        if not (options["no_input"] or options["json"]) and sys.stdin.isatty() and sys.stdout.isatty():
            self.ask_questions(answers)
        findings = self.run_checklist(PreflightContext(answers, options["rehearse"]), quiet=options["json"])
        severity = overall_severity(findings)
        if options["json"]:
            self.stdout.write(json.dumps(report.as_json(findings)))
        else:
            self.stdout.write(f"\n{self.colorize(severity, report.format_conclusion(findings))}")
        if severity == Severity.RED:
            sys.exit(1)

    def run_checklist(self, context: PreflightContext, quiet: bool) -> FindingsByName:
        """Run every check, and write each finding as soon as it is there."""
        findings: FindingsByName = {}
        if not quiet:
            self.stdout.write(f"Preflight of {connection.settings_dict['NAME']}\n\n")
        for name, finding in iter_findings(context):
            findings[name] = finding
            if not quiet:
                first, *rest = report.as_lines(name, finding)
                self.stdout.write("\n".join([self.colorize(finding.severity, first), *rest]))
        return findings

    def colorize(self, severity: Severity, text: str) -> str:
        styles = {
            Severity.GREEN: self.style.SUCCESS,
            Severity.YELLOW: self.style.WARNING,
            Severity.RED: self.style.ERROR,
        }
        return styles[severity](text)

    def ask_questions(self, answers: ManualAnswers) -> None:
        """Ask what no option answered; an empty answer skips a question, Ctrl-D all others."""
        with suppress(EOFError):
            for question in manual.QUESTIONS:
                while getattr(answers, question.name) is None and (
                    text := input(f"{question.text} ").strip()
                ):
                    try:
                        setattr(answers, question.name, question.parse(text))
                    except ValueError:
                        self.stdout.write(f"{text!r} is not understood. Press Enter to skip the question.")
