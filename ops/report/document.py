"""The JSON output of commands: one object per line, with a format version."""

from __future__ import annotations

from datetime import datetime
from typing import Any

# Increased when a key is renamed, removed or changes its meaning, not when one is added.
FORMAT_VERSION = 1


def build_document(event: str, **facts: Any) -> dict[str, Any]:
    return {"event": event, "version": FORMAT_VERSION, **facts}


def isoformat(when: datetime | None) -> str | None:
    return when.isoformat() if when else None
