"""What would hold a run now."""

from __future__ import annotations

from ops import registry
from ops.declaration import label_of
from ops.health.health import Health, silences
from ops.models import Run
from ops.preflight.finding import Finding, Light, Situation


def health(situation: Situation) -> Finding:
    """The indicators, asked for each table that operations change, as its runs ask them."""
    sick: dict[str, None] = {}
    silent: dict[str, str] = {}
    declared = [each for each in registry.all_operations() if each.example is not None]
    for model in sorted({label_of(each.model) for each in declared}):
        found, unasked = Health(Run(model=model)).answers()
        sick |= {f"{name}: {told.reason}": None for name, told in found.items()}
        silent |= unasked
    details = (*sick, *silences(silent))
    if sick:
        todo = ("Wait until it has passed; the limits, and what each means: docs/health.md",)
        return Finding(Light.YELLOW, "A run would be held.", details, todo)
    if silent:
        return Finding(Light.YELLOW, "Not every indicator can be asked.", details)
    return Finding(Light.GREEN, "No indicator would hold a run.")
