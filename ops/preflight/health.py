"""What would hold a run now."""

from __future__ import annotations

from ops.health.monitor import HealthMonitor, format_unavailable
from ops.models import Run
from ops.operations import registry
from ops.operations.validation import model_label
from ops.preflight.finding import Finding, PreflightContext, Severity


def check_health(context: PreflightContext) -> Finding:
    """The indicators, asked for each table that operations change, as its runs ask them."""
    sick: dict[str, None] = {}
    silent: dict[str, str] = {}
    declared = [each for each in registry.list_operations() if each.example is not None]
    for model in sorted({model_label(each.model) for each in declared}):
        found, unasked = HealthMonitor(Run(model=model)).answers()
        sick |= {f"{name}: {told.reason}": None for name, told in found.items()}
        silent |= unasked
    details = (*sick, *format_unavailable(silent))
    if sick:
        todo = ("Wait until it has passed; the limits, and what each means: docs/health.md",)
        return Finding(Severity.YELLOW, "A run would be held.", details, todo)
    if silent:
        return Finding(Severity.YELLOW, "Not every indicator can be asked.", details)
    return Finding(Severity.GREEN, "No indicator would hold a run.")
