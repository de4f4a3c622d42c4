"""Pages of runs and exports that refresh while work is in progress, with the buttons to control it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html

from ops.admin.lists.readonly import ReadOnlyAdmin
from ops.admin.live.controls import Control
from ops.exceptions import OpsError
from ops.formatting import format_time_left
from ops.runs.status import status_label
from ops.states import ACTIVE, HELD, STALLED, State

# The view that a page requests again and again while it is open.
LIVE_VIEW = "live"
_MAX_ROWS = 2**63
_STATUS_CLASSES: dict[str, str] = {
    State.SUCCEEDED: "good",
    State.CANCELLED: "plain",
    State.FAILED: "bad",
    State.VERIFICATION_FAILED: "bad",
    State.FINISHED_WITH_FAILURES: "warn",
    State.PAUSED: "warn",
    State.PAUSING: "warn",
    State.CANCELLING: "warn",
    State.AWAITING_APPROVAL: "warn",
    HELD: "warn",
    STALLED: "warn",
}


class LiveAdmin(ReadOnlyAdmin):
    """Rows with a ``state`` like that of a run. ``live_template`` renders the part that is refreshed."""

    page_template = "ops/admin/live.html"
    live_template: ClassVar[str]
    controls: ClassVar[Mapping[str, Control]]

    def get_urls(self) -> list[URLPattern]:
        controls = [
            self.build_row_path(f"{verb}/", partial(self.control_view, verb=verb)) for verb in self.controls
        ]
        return [self.build_row_path(f"{LIVE_VIEW}/", self.live_view), *controls, *super().get_urls()]

    def build_row_path(self, route: str, view: Callable[..., HttpResponseBase]) -> URLPattern:
        """Return a URL pattern below a row's, named by the first word of its path: ``admin:ops_run_live``."""
        name = self.get_url_name(route.partition("/")[0]).removeprefix("admin:")
        pattern: URLPattern = path(f"<int:number>/{route}", self.admin_site.admin_view(view), name=name)
        return pattern

    @admin.display(description="number", ordering="pk")
    def number(self, row: Any) -> str:
        return f"{self.opts.verbose_name} {row.pk}".capitalize()

    @admin.display(description="state", ordering="state")
    def state_display(self, row: Any) -> str:
        return format_status_badge(row.state)

    def may_use_control(self, request: HttpRequest, verb: str, row: Any) -> bool:
        """Whether a user who may view the row may use this control."""
        return True

    def explain_error(self, error: OpsError) -> str:
        """Return what the page says about the error: without the advice, which names commands."""
        return error.reason

    def get_page_context(self, request: HttpRequest, row: Any) -> dict[str, Any]:
        """Return what every live template needs; subclasses add the rest, ``now`` included."""
        return {
            "row": row,
            "live_template": self.live_template,
            "live_url": reverse(self.get_url_name(LIVE_VIEW), args=[row.pk]),
            "controls": [
                (control, reverse(self.get_url_name(verb), args=[row.pk]))
                for verb, control in self.controls.items()
                if self.may_use_control(request, verb, row) and control.is_available(row)
            ],
            "state": format_status_badge(row.state),
            "status_class": get_status_class(row.state),
            "is_active": row.state in ACTIVE,
            "error": row.error,
        }

    def live_view(self, request: HttpRequest, number: int) -> HttpResponse:
        """Return the part of the page that is refreshed."""
        return TemplateResponse(
            request, self.live_template, self.get_page_context(request, self.get_row_or_404(request, number))
        )

    def control_view(self, request: HttpRequest, number: int, verb: str) -> HttpResponse:
        row = self.get_row_or_404(request, number)
        if not self.may_use_control(request, verb, row):
            raise PermissionDenied
        return self.apply_control(request, row, self.controls[verb])

    def apply_control(self, request: HttpRequest, row: Any, control: Any) -> HttpResponse:
        """Apply the control for POST, and show its warning or error on the row's page."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        try:
            if warning := control.apply(row, request.user.get_username()):
                messages.warning(request, warning)
        except OpsError as exc:
            messages.error(request, self.explain_error(exc))
        return HttpResponseRedirect(reverse(self.get_url_name("change"), args=[row.pk]))


def format_status_badge(status: str) -> str:
    return format_html(
        '<span class="ops-state ops-{}">{}</span>', get_status_class(status), status_label(status)
    )


def get_status_class(status: str) -> str:
    return _STATUS_CLASSES.get(status, "busy")


@dataclass(frozen=True)
class ProgressSnapshot:
    """How many rows were done at a time, in seconds since the epoch."""

    done: int
    at: float

    @classmethod
    def take(cls, done: int) -> ProgressSnapshot:
        return cls(done, time.time())

    @classmethod
    def from_request(cls, request: HttpRequest) -> ProgressSnapshot | None:
        """Return the earlier snapshot that the page sent; None if it sent none, or an invalid one."""
        try:
            snapshot = cls(int(request.GET["done"]), float(request.GET["at"]))
        except (KeyError, ValueError):
            return None
        return snapshot if math.isfinite(snapshot.at) and abs(snapshot.done) < _MAX_ROWS else None

    def format_rate(self, done: int, total: int) -> str:
        """Return the rate since this snapshot and the time left; "" if no row was done since."""
        elapsed = time.time() - self.at  # negative if this machine's clock was set back
        rate = max(0, done - self.done) / elapsed if elapsed > 0 else 0
        if not rate:
            return ""
        return f"{rate:,.0f} rows/s, {format_time_left(max(0, total - done), rate)}"


def get_percentage(done: int, total: int) -> float:
    return min(100.0, 100 * done / total) if total else 100.0
