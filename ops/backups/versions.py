"""Versions as PostgreSQL and its programs tell them: ``15.20 (Debian 15.20-1)``, ``19rc1``, ``19devel``."""

from __future__ import annotations

import re

_VERSION = re.compile(r"(\d+)(?:\.(\d+))?(devel|beta|rc)?(\d*)")
_STAGES = ("devel", "beta", "rc", None)


def rank(version: str) -> tuple[int, int, int]:
    """What versions are sorted by: ``18.4`` before ``18.6``, ``19rc1`` before ``19.0``. Raises ValueError."""
    found = _VERSION.match(version)
    if found is None:
        raise ValueError(f"{version!r} is no version of PostgreSQL")
    major, minor, stage, number = found.groups()
    return int(major), _STAGES.index(stage), int(minor or number or 0)


def major_of(version: str) -> int:
    """Raises ValueError."""
    return rank(version)[0]


def is_released(version: str) -> bool:
    return rank(version)[1] == _STAGES.index(None)
