"""Runs as staff call them: their names, links to them, and their state."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from django.db.models import Model
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe

from ops.admin.live.live_page import format_status_badge, get_status_class
from ops.exceptions import AllRowsFailed, ColumnClaimed, NonTerminating, OpsError, TooManyFailures
from ops.formatting import pluralize
from ops.models import Run
from ops.operations import registry
from ops.operations.revert import get_reverted_run
from ops.runs.reverts import Reversal, read_reversals
from ops.runs.status import compute_status
from ops.states import State

_RUN_ERRORS = {
    TooManyFailures.code: (
        "More {many} failed than this run allows ({limit:,}), so it stopped. What it has changed stays."
        " Once the failed {many} are corrected, select “Resume”."
    ),
    AllRowsFailed.code: (
        "Every {one} that was tried failed, so the cause is not in the {many}. What the failed {many} say,"
        " below, tells an operator what it is. Once it is mended, select “Resume”."
    ),
    NonTerminating.code: (
        "The operation would never have ended, since it is declared in a wrong way. Nothing was changed by"
        " that. Its developers have to correct it."
    ),
}


def name_operation(name: str) -> str:
    """``Bulk promote``, also for an operation that was removed."""
    try:
        return registry.get_operation(name).title()
    except OpsError:
        return name.replace("_", " ").capitalize()


def name_run(run: Run) -> str:
    """``Bulk promote``; ``Revert of run 3``."""
    reverted = get_reverted_run(run)
    return name_operation(run.operation) if reverted is None else f"Revert of run {reverted}"


def build_breadcrumb(run: Run) -> Run:
    """Return a run whose text in the breadcrumbs is ``run 3 (Bulk promote)``; it is not to be saved."""
    return Run(pk=run.pk, operation=name_run(run))


def label_field(model: type[Model], name: str) -> str:
    """Return the verbose name of the model's field or column, or the name where there is none."""
    for field in model._meta.concrete_fields:
        if name in (field.name, field.column):
            return str(field.verbose_name)
    return name


def link_run(number: int | None, noun: str = "run") -> SafeString:
    url = reverse("admin:ops_run_change", args=[number])
    return format_html('<a class="ops-link" href="{}">{} {}</a>', url, noun, number)


def link_runs(numbers: Iterable[int]) -> SafeString:
    return format_html_join(", ", "{}", ((link_run(number),) for number in numbers))


def explain_error(error: OpsError) -> str:
    """Return the error without the commands that it advises; of a claimed column, which run has it."""
    if not isinstance(error, ColumnClaimed) or error.holder is None:
        return error.reason
    text = "{} ({}) writes the same field and has not ended. Let it finish, or cancel it on its page."
    return format_html(text, link_run(error.holder.pk, "Run"), name_run(error.holder))


def explain_run_error(run: Run, row_nouns: tuple[str, str] = ("row", "rows")) -> str:
    """Return why the run failed, for staff: without commands and names of classes; "" if it did not."""
    if text := _RUN_ERRORS.get(run.error_code):
        one, many = row_nouns
        return text.format(one=one, many=many, limit=run.max_failures)
    return run.error.removeprefix(f"{run.error_code}: ").partition("\n")[0]


def format_state(run: Run, reversal: Reversal) -> SafeString:
    """Return the badges of the state; of a run that succeeded and was reverted, only that it was."""
    badges = [*_iter_reversal_badges(reversal)]
    if not badges or run.state != State.SUCCEEDED:
        badges.insert(0, format_status_badge(compute_status(run)))
    return mark_safe(" ".join(badges))  # noqa: S308  # of escaped parts


def get_state_class(run: Run, reversal: Reversal) -> str:
    if reversal.restored:
        return _get_reversal_class(reversal)
    return get_status_class(compute_status(run))


def _get_reversal_class(reversal: Reversal) -> str:
    return "plain" if reversal.is_complete else "warn"


def _iter_reversal_badges(reversal: Reversal) -> Iterator[str]:
    badge = '<span class="ops-state ops-{}">{} by {}</span>'
    if reversal.restored:
        verb = "reverted" if reversal.is_complete else "partly reverted"
        yield format_html(badge, _get_reversal_class(reversal), verb, link_runs(reversal.restored))
    if reversal.active:
        yield format_html(badge, "busy", "being reverted", link_run(reversal.active))


def list_related_runs(
    run: Run, reversal: Reversal, row_nouns: tuple[str, str]
) -> list[tuple[str, SafeString]]:
    """Return how other runs are related to this one, and links to them."""
    related = []
    number = get_reverted_run(run)
    if number is not None and (reverted := Run.objects.filter(pk=number).first()):
        related.append(("Reverts", _format_run(reverted)))
    for revert, rows in reversal.restored.items():
        restored = format_html("{} ({})", link_run(revert), pluralize(rows, *row_nouns))
        related.append(("Reverted by", restored))
    if reversal.active:
        related.append(("Being reverted by", link_run(reversal.active)))
    if number := run.scope.get("retries"):
        related.append(("Retries", link_run(number)))
    if run.follows is not None:
        related.append(("Started after", _format_run(run.follows)))
    retries = Run.objects.filter(pk__gt=run.pk, scope__retries=run.pk).order_by("pk")
    later = [("Retried by", each) for each in retries]
    later += [("Followed by", each) for each in run.followed_by.order_by("pk")]
    reversals = read_reversals([each for _, each in later]) if later else {}
    for relation, each in later:
        state = format_state(each, reversals[each.pk])
        related.append((relation, format_html("{} {}", _format_run(each), state)))
    for request in run.followups.order_by("pk"):
        text = "{}, as soon as this run ends (requested by {})"
        name = name_operation(request.operation)
        related.append(("Followed by", format_html(text, name, request.performed_by)))
    return related


def _format_run(run: Run) -> SafeString:
    return format_html("{} ({})", link_run(run.pk), name_run(run))
