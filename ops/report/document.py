"""What commands tell machines: one JSON object a line, of a format that has a version."""

from __future__ import annotations

from typing import Any

# Goes up when a key changes its name or its meaning, or is gone; a new key alone breaks nobody.
FORMAT_VERSION = 1


def build_document(event: str, **facts: Any) -> dict[str, Any]:
    return {"event": event, "version": FORMAT_VERSION, **facts}
