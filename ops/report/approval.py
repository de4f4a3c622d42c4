"""Why a run needs a second person, and what that person decided: as sentences and as JSON."""

from __future__ import annotations

from typing import Any

from ops.formatting import format_time, pluralize
from ops.models import Approval, Decision, Run
from ops.report.document import isoformat
from ops.runs.approval_policy import Need, find_approval

_FIELDS = ("rows", "earlier_rows", "limit", "comment", "decision", "decided_by", "decision_comment", "reason")
_TIMES = ("created_at", "expires_at", "decided_at")


def explain_need(need: Need | Approval, one: str = "row", many: str = "rows") -> str:
    """``12,000 cards are more than the 10,000 rows that one person may change alone``."""
    rows, limit = pluralize(need.rows, one, many), f"the {need.limit:,} that one person may change alone"
    if need.rows > need.limit:
        return f"{rows} are more than {limit}"
    earlier = f"the {need.earlier_rows:,} rows of this person's other runs within 24 hours"
    return f"{rows} and {earlier} are more than {limit}"


def format_approval(run: Run) -> dict[str, str]:
    """Return the details of a run that needs, or needed, a second person, by name; else nothing."""
    approval = find_approval(run)
    if approval is None:
        return {}
    if not approval.decision:
        outcome = f"awaited until {format_time(approval.expires_at)}: {explain_need(approval)}"
    else:
        outcome = f"{format_decision(approval)} ({format_time(approval.decided_at)})"
    return {"comment": approval.comment, "approval": outcome}


def format_decision(approval: Approval) -> str:
    """``approved by bob: Looks right.``"""
    by = f" by {approval.decided_by}" if approval.decided_by else ""
    words = ": ".join(filter(None, [approval.decision_comment, approval.reason]))
    return f"{Decision(approval.decision).label}{by}{f': {words}' if words else ''}"


def approval_json(run: Run) -> dict[str, Any] | None:
    approval = find_approval(run)
    if approval is None:
        return None
    facts = {name: getattr(approval, name) for name in _FIELDS}
    return {**facts, **{name: isoformat(getattr(approval, name)) for name in _TIMES}}
