"""The form of the admin's log-in page, which is throttled."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Any

from django.core.exceptions import ValidationError
from django.views.decorators.debug import sensitive_variables
from unfold.forms import AuthenticationForm

from kyndo import login_throttle
from kyndo.client_address import get_client_address
from ops.formatting import pluralize


class LoginForm(AuthenticationForm):  # type: ignore[misc]
    """Checks no password while its name, or its address, has to wait."""

    @sensitive_variables()
    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = self.cleaned_data
        name = cleaned.get("username")
        if name is None or not cleaned.get("password"):
            return cleaned
        address = get_client_address(self.request)
        if wait := login_throttle.count_attempt(name, address):
            raise ValidationError(format_refusal(wait), code="throttled")
        super().clean()
        login_throttle.forget_attempt(name, address)
        return cleaned


def format_refusal(wait: timedelta) -> str:
    """Say how long to wait after too many wrong passwords."""
    minutes = math.ceil(wait / timedelta(minutes=1))
    return f"There were too many wrong passwords. Try again in {pluralize(minutes, 'minute')}."
