"""How deep JSON may be nested: what Python's parser cannot read, no page could show."""

from __future__ import annotations

import re

MAX_JSON_DEPTH = 500
TOO_DEEP = f"nested more than {MAX_JSON_DEPTH} deep"
_BRACKET_PATTERN = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{}]')


def is_too_deep(text: str) -> bool:
    """Whether the JSON, which is valid, is nested more than MAX_JSON_DEPTH deep."""
    if text.count("[") + text.count("{") <= MAX_JSON_DEPTH:
        return False
    depth = 0
    for match in _BRACKET_PATTERN.finditer(text):
        depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(match[0], 0)
        if depth > MAX_JSON_DEPTH:
            return True
    return False
