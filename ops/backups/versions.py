"""Parse versions of PostgreSQL and its client tools: ``15.20 (Debian 15.20-1)``, ``19rc1``, ``19devel``."""

from __future__ import annotations

import re

_VERSION_PATTERN = re.compile(r"(\d+)(?:\.(\d+))?(devel|beta|rc)?(\d*)")
_RELEASE_STAGES = ("devel", "beta", "rc", None)


def version_sort_key(version: str) -> tuple[int, int, int]:
    """Return a sort key: ``18.4`` before ``18.6``, ``19rc1`` before ``19.0``. Raises ValueError."""
    match = _VERSION_PATTERN.match(version)
    if match is None:
        raise ValueError(f"{version!r} is not a version of PostgreSQL")
    major, minor, stage, number = match.groups()
    return int(major), _RELEASE_STAGES.index(stage), int(minor or number or 0)


def parse_major_version(version: str) -> int:
    """Return the first number of the version. Raises ValueError."""
    return version_sort_key(version)[0]


def is_released(version: str) -> bool:
    return version_sort_key(version)[1] == _RELEASE_STAGES.index(None)
