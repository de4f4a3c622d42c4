"""Check whether a health indicator would hold a run now."""

from __future__ import annotations

from ops.health.monitor import HealthMonitor, format_unavailable
from ops.models import Run
from ops.operations import registry
from ops.preflight.finding import Finding, PreflightContext, Severity


def check_health(context: PreflightContext) -> Finding:
    """Read the indicators for each table that operations change, as its runs do."""
    holding: dict[str, None] = {}
    unavailable: dict[str, str] = {}
    for model in registry.list_operation_models():
        answers, not_available = HealthMonitor(Run(model=model._meta.label_lower)).evaluate()
        holding |= {f"{name}: {answer.reason}": None for name, answer in answers.items()}
        unavailable |= not_available
    details = (*holding, *format_unavailable(unavailable))
    if holding:
        todo = (
            "Wait until these values are below their limits. The limits and their meaning: docs/health.md",
        )
        return Finding(Severity.YELLOW, "A run would wait now.", details, todo)
    if unavailable:
        return Finding(Severity.YELLOW, "Not every indicator can be read.", details)
    return Finding(Severity.GREEN, "No indicator would hold a run.")
