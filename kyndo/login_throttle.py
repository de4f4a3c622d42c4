"""Count wrong passwords, and tell how long a log-in has to wait.

The counts are in the database, so all processes of the site share them, and a log-in needs no other server.
An attempt is counted before its password is checked, and taken back if it was right: attempts at the same
time cannot exceed the limits together.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import F
from django.utils import timezone

from kyndo.models import LoginAttempts

_NO_WAIT = timedelta()


def count_attempt(name: str, address: str) -> timedelta:
    """Count one attempt; return zero, or how long to wait where the limit is reached.

    Whoever has to wait writes nothing, so more attempts neither lengthen the wait nor load the database.
    """
    limits = {
        _hash_key(address, name): settings.LOGIN_ATTEMPTS_PER_NAME,
        _hash_key(address): settings.LOGIN_ATTEMPTS_PER_ADDRESS,
    }
    rows = LoginAttempts.objects.filter(key__in=limits).order_by("key")
    if wait := _get_wait(rows, limits):
        return wait
    _delete_expired()
    with transaction.atomic():
        expires_at = timezone.now() + settings.LOGIN_WAIT
        LoginAttempts.objects.bulk_create(
            [LoginAttempts(key=key, expires_at=expires_at) for key in sorted(limits)], ignore_conflicts=True
        )
        locked = list(rows.select_for_update())
        if wait := _get_wait(locked, limits):
            return wait
        for row in locked:
            row.count += 1
            if row.count >= limits[row.key]:  # the wait begins now, not with the first attempt
                row.expires_at = expires_at
            row.save()
    return _NO_WAIT


def forget_attempt(name: str, address: str) -> None:
    """Take back an attempt with the right password, and the wrong ones for this name before it."""
    LoginAttempts.objects.filter(key=_hash_key(address, name)).delete()
    LoginAttempts.objects.filter(key=_hash_key(address), count__gt=0).update(count=F("count") - 1)


def _get_wait(rows: Iterable[LoginAttempts], limits: dict[str, int]) -> timedelta:
    now = timezone.now()
    return max([_NO_WAIT, *(row.expires_at - now for row in rows if row.count >= limits[row.key])])


def _delete_expired() -> None:
    """Delete what no longer counts, without waiting for what others have locked."""
    with transaction.atomic():
        expired = LoginAttempts.objects.filter(expires_at__lte=timezone.now())
        keys = expired.select_for_update(skip_locked=True).values("key")
        LoginAttempts.objects.filter(key__in=keys).delete()


def _hash_key(*parts: str) -> str:
    """Hash the parts: a name may be of any length, and is sometimes a password in the wrong field."""
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()
