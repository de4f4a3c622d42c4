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
    help = "Go through the checklist before a migration; exits with 1 if something is red."
    needs_direct_connection = True

    def add_arguments(self, parser: CommandParser) -> None:
        yes: dict[str, Any] = {"nargs": "?", "const": "yes", "type": manual.parse_answer}
        parser.add_argument("--team-notified", **yes, metavar="HOW", help="The team was notified.")
        span = make_argument_type(parse_duration, "a span of time, as 15min, 1h 30min or 0")
        parser.add_argument("--downtime", type=span, metavar="SPAN", help="Of players, at most; 0 for none.")
        plan = "How it is taken back, in words or in a file."
        parser.add_argument("--rollback-plan", type=manual.parse_answer, metavar="TEXT|FILE", help=plan)
        parser.add_argument("--monitoring", **yes, metavar="WHO", help="Somebody watches.")
        size = make_argument_type(parse_size, "a size, as 500MB or 1.5TB")
        free = "Free on the database's disk, where it cannot be seen from here."
        parser.add_argument("--database-free", type=size, metavar="SIZE", help=free)
        copy = "Restore the newest backup beside the database; migrate and check that copy, and drop it."
        parser.add_argument("--rehearse", action="store_true", help=copy)
        parser.add_argument("--no-input", action="store_true", help="Ask nothing, even in a terminal.")
        parser.add_argument("--json", action="store_true", help="JSON, one object.")

    def handle(self, **options: Any) -> None:
        answers = ManualAnswers(**{name: options[name] for name in ManualAnswers.__dataclass_fields__})
        if not (options["no_input"] or options["json"]) and sys.stdin.isatty() and sys.stdout.isatty():
            self.ask(answers)
        lines = self.told(PreflightContext(answers, options["rehearse"]), quietly=options["json"])
        if options["json"]:
            self.stdout.write(json.dumps(report.as_json(lines)))
        else:
            self.stdout.write(f"\n{self.coloured(overall_severity(lines), report.format_conclusion(lines))}")
        if overall_severity(lines) == Severity.RED:
            sys.exit(1)

    def told(self, context: PreflightContext, quietly: bool) -> FindingsByName:
        """Every line, each told as soon as it is known."""
        lines: FindingsByName = {}
        if not quietly:
            self.stdout.write(f"Preflight of {connection.settings_dict['NAME']}\n\n")
        for name, finding in iter_findings(context):
            lines[name] = finding
            if not quietly:
                first, *rest = report.as_lines(name, finding)
                self.stdout.write("\n".join([self.coloured(finding.severity, first), *rest]))
        return lines

    def coloured(self, severity: Severity, text: str) -> str:
        styles = {
            Severity.GREEN: self.style.SUCCESS,
            Severity.YELLOW: self.style.WARNING,
            Severity.RED: self.style.ERROR,
        }
        return styles[severity](text)

    def ask(self, answers: ManualAnswers) -> None:
        """Ask what nobody said; an empty answer is none, and Ctrl-D answers no more."""
        with suppress(EOFError):
            for question in manual.QUESTIONS:
                while getattr(answers, question.name) is None and (
                    said := input(f"{question.text} ").strip()
                ):
                    try:
                        setattr(answers, question.name, question.read(said))
                    except ValueError:
                        self.stdout.write(f"{said!r} is not understood; an empty line leaves it open.")
