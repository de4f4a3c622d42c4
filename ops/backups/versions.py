"""Versions as PostgreSQL and its programs tell them: ``15.20 (Debian 15.20-1)``, ``19rc1``, ``19devel``."""

from __future__ import annotations

import re

_VERSION_PATTERN = re.compile(r"(\d+)(?:\.(\d+))?(devel|beta|rc)?(\d*)")
_RELEASE_STAGES = ("devel", "beta", "rc", None)


def version_sort_key(version: str) -> tuple[int, int, int]:
    """What versions are sorted by: ``18.4`` before ``18.6``, ``19rc1`` before ``19.0``. Raises ValueError."""
    found = _VERSION_PATTERN.match(version)
    if found is None:
        raise ValueError(f"{version!r} is no version of PostgreSQL")
    major, minor, stage, number = found.groups()
    return int(major), _RELEASE_STAGES.index(stage), int(minor or number or 0)


def parse_major_version(version: str) -> int:
    """Raises ValueError."""
    return version_sort_key(version)[0]


def is_released(version: str) -> bool:
    return version_sort_key(version)[1] == _RELEASE_STAGES.index(None)
