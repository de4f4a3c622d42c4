"""Default values of the settings of ops."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

from django.conf import settings

from ops.health.limits import HealthLimits

_DEFAULTS: dict[str, Any] = {
    "BACKUP_DIR": Path("backups"),
    "DIRECT_DATABASE": None,
    "EXPORT_ROOT": Path("exports"),
    "FOLLOW_UP_WORKERS": 2,
    "OPS_APPROVAL_COMMANDS": False,
    "OPS_APPROVAL_EXPIRY": timedelta(hours=24),
    "OPS_APPROVAL_ROWS": 10_000,
    "OPS_BACKUP_MAX_AGE": None,
    "OPS_HEALTH": HealthLimits(),
    "OPS_PAGE_STATEMENT_TIMEOUT": None,
    "PG_BIN": [],
    "RQ_QUEUES": {"default": {"URL": "redis://localhost:6379/0"}},
    "RUN_BEAT": 5,
    "RUN_SLICE": 60,
    "UPLOAD_MAX_BYTES": 200_000_000,
    "UPLOAD_ROOT": Path("uploads"),
    "VERSION": "",
}


def apply_default_settings() -> None:
    """Set the settings that the project does not have. kyndo/settings.py describes them."""
    for name, value in _DEFAULTS.items():
        if not hasattr(settings, name):
            setattr(settings, name, value)
