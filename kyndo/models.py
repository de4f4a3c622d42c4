"""The tables of the site itself."""

from __future__ import annotations

from django.db import models


class LoginAttempts(models.Model):
    """How many attempts to log in failed lately, by one key: see `kyndo.login_throttle`."""

    key = models.CharField(max_length=64, primary_key=True)
    count = models.PositiveIntegerField(default=0)
    expires_at = models.DateTimeField(db_index=True)

    class Meta:
        db_table = "login_attempts"

    def __str__(self) -> str:
        return f"{self.count} attempts"
