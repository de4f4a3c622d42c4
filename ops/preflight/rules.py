"""What a migration may break although it locks nothing for long, and what to do instead.

The names are Squawk's (https://squawkhq.com/docs/rules), except the last ones, which are ours. What locks for
long is in ops/migrate/rules.py, since `migrate` refuses it too; Squawk's rules of style are left out.
"""

from __future__ import annotations

from dataclasses import dataclass

from ops.command_lines import manage_command
from ops.preflight.finding import Severity


@dataclass(frozen=True)
class LintRule:
    """Why the statement is unsafe, what to do instead, and how severe it is."""

    reason: str
    safe_alternative: str
    severity: Severity = Severity.YELLOW


_DEPLOY_FIRST = "first deploy code that no longer uses it, and watch it for a day or two"

LINT_RULES = {
    "adding-required-field": LintRule(
        "fails if the table has rows, and code that does not know the column can no longer add rows",
        "db_default=, or null=True, an operation that fills it, and only then NOT NULL",
        Severity.RED,
    ),
    "renaming-column": LintRule(
        "code that still runs knows only the old name", "db_column=, or a new column beside it", Severity.RED
    ),
    "renaming-table": LintRule("code that still runs knows only the old name", "Meta.db_table", Severity.RED),
    "ban-drop-column": LintRule("deletes its values, and code that still runs uses it", _DEPLOY_FIRST),
    "ban-drop-table": LintRule("deletes its rows, and code that still runs uses it", _DEPLOY_FIRST),
    "ban-truncate-cascade": LintRule("empties other tables too", "an operation", Severity.RED),
    "ban-drop-default": LintRule(
        "code that does not know the column can no longer add rows", "db_default= instead of default="
    ),
    "ban-drop-not-null": LintRule("code that still runs may not expect NULL", "first deploy code that does"),
    "syntax-error": LintRule(
        "cannot be read by the linter", f"read it: {manage_command('sqlmigrate', 'APP', 'MIGRATION')}"
    ),
    # Ours.
    "python": LintRule(
        "its changes cannot be known in advance", "an operation, which can be previewed, paused and reverted"
    ),
    "no-way-back": LintRule("cannot be migrated back", "reverse_code= or reverse_sql="),
}
