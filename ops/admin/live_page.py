"""Rows that move: a page that is fetched again and again meanwhile, and what a person can do to them."""

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

from ops.admin.controls import Control
from ops.admin.readonly import ReadOnlyAdmin
from ops.exceptions import OpsError
from ops.formatting import format_time_left
from ops.runs.status import status_label
from ops.states import ACTIVE, HELD, STALLED, State

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
    """Rows whose ``state`` is one of those of a run. ``live`` is the template of what changes meanwhile."""

    page_template = "ops/admin/live.html"
    live_template: ClassVar[str]
    controls: ClassVar[Mapping[str, Control]]

    def get_urls(self) -> list[URLPattern]:
        controls = [
            self.build_row_path(f"{verb}/", partial(self.control_view, verb=verb)) for verb in self.controls
        ]
        return [self.build_row_path("live/", self.live_view), *controls, *super().get_urls()]

    def build_row_path(self, route: str, view: Callable[..., HttpResponseBase]) -> URLPattern:
        """An address below that of a row, named by its first word: ``admin:ops_run_live``."""
        name = self.get_url_name(route.partition("/")[0]).removeprefix("admin:")
        found: URLPattern = path(f"<int:number>/{route}", self.admin_site.admin_view(view), name=name)
        return found

    @admin.display(description="number", ordering="pk")
    def number(self, row: Any) -> str:
        return f"{self.opts.verbose_name} {row.pk}".capitalize()

    @admin.display(description="state", ordering="state")
    def state_display(self, row: Any) -> str:
        return format_status_badge(row.state)

    def may_use_control(self, request: HttpRequest, verb: str, row: Any) -> bool:
        """Whether somebody who may see the row may do this to it."""
        return True

    def get_page_context(self, request: HttpRequest, row: Any) -> dict[str, Any]:
        """What every ``live`` template takes; the rest, with the ``now`` of its Look, is the subclass's."""
        return {
            "row": row,
            "live": self.live_template,
            "address": reverse(self.get_url_name("live"), args=[row.pk]),
            "controls": [
                (control, reverse(self.get_url_name(verb), args=[row.pk]))
                for verb, control in self.controls.items()
                if self.may_use_control(request, verb, row) and control.is_available(row)
            ],
            "state": format_status_badge(row.state),
            "mood": get_status_class(row.state),
            "moves": row.state in ACTIVE,
        }

    def live_view(self, request: HttpRequest, number: int) -> HttpResponse:
        """What of the page changes while the row moves."""
        return TemplateResponse(
            request, self.live_template, self.get_page_context(request, self.get_row_or_404(request, number))
        )

    def control_view(self, request: HttpRequest, number: int, verb: str) -> HttpResponse:
        row = self.get_row_or_404(request, number)
        if not self.may_use_control(request, verb, row):
            raise PermissionDenied
        return self.apply_control(request, row, self.controls[verb])

    def apply_control(self, request: HttpRequest, row: Any, control: Any) -> HttpResponse:
        """Do it at once, for POST alone; the page of the row tells what stood against it."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        try:
            if warning := control.apply(row, request.user.get_username()):
                messages.warning(request, warning)
        except OpsError as exc:
            messages.error(request, str(exc))
        return HttpResponseRedirect(reverse(self.get_url_name("change"), args=[row.pk]))


def format_status_badge(status: str) -> str:
    return format_html(
        '<span class="ops-state ops-{}">{}</span>', get_status_class(status), status_label(status)
    )


def get_status_class(status: str) -> str:
    return _STATUS_CLASSES.get(status, "busy")


@dataclass(frozen=True)
class ProgressSnapshot:
    """How many rows were done, and at what time, in seconds."""

    done: int
    at: float

    @classmethod
    def take(cls, done: int) -> ProgressSnapshot:
        return cls(done, time.time())

    @classmethod
    def from_request(cls, request: HttpRequest) -> ProgressSnapshot | None:
        """The page's own, as its address tells; None where it tells none, or one that cannot have been."""
        try:
            look = cls(int(request.GET["done"]), float(request.GET["at"]))
        except (KeyError, ValueError):
            return None
        return look if math.isfinite(look.at) and abs(look.done) < _MAX_ROWS else None

    def format_rate(self, done: int, total: int) -> str:
        """Since then: rows a second and the time left; "" while nothing moves."""
        passed = time.time() - self.at  # below 0 where this machine's clock went back
        rate = max(0, done - self.done) / passed if passed > 0 else 0
        if not rate:
            return ""
        return f"{rate:,.0f} rows/s, {format_time_left(max(0, total - done), rate)}"


def get_percentage(done: int, total: int) -> float:
    """In percent."""
    return min(100.0, 100 * done / total) if total else 100.0
