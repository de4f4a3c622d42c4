"""The order of the presentation rules, changed by dragging one or by its buttons."""

from __future__ import annotations

from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest

from cards.models import PresentationRule
from ops.sql.recorded import audit_changes

ORDER_FIELD, SEEN_FIELD, MOVE_FIELD = "rule", "seen", "move"
_STEPS = {"up": -1, "down": 1}


@transaction.atomic
def save_order(request: HttpRequest) -> str:
    """Save the posted order with its audit rows; return the key of the rule that a button moved, or "".

    Nothing is saved if the rules have another order than the page showed, or are others.
    """
    rules = {str(rule.pk): rule for rule in PresentationRule.objects.select_for_update()}
    keys, moved = _read_order(request)
    if request.POST.get(SEEN_FIELD, "").split() != [*rules] or sorted(keys) != sorted(rules):
        messages.warning(request, "Nothing was moved: the rules changed meanwhile. This is their order now.")
        return ""
    places = [rule.sort_order for rule in rules.values()]
    for key, place in zip(keys, places, strict=True):
        rule = rules[key]
        if rule.sort_order != place:
            with audit_changes(rule, "admin_change", request.user.get_username()):
                rule.sort_order = place
                rule.save(update_fields=["sort_order", "updated_at"])
    return moved


def _read_order(request: HttpRequest) -> tuple[list[str], str]:
    """Return the keys in the new order, and the key that a button moved."""
    keys = request.POST.getlist(ORDER_FIELD)
    direction, _, moved = request.POST.get(MOVE_FIELD, "").partition("-")
    if direction in _STEPS and moved in keys:
        place = keys.index(moved)
        keys.insert(max(0, place + _STEPS[direction]), keys.pop(place))
        return keys, moved
    return keys, ""
