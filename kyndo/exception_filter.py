"""What Django's page of an error, there where DEBUG is on, does not show."""

from __future__ import annotations

import re

from django.views.debug import SafeExceptionReporterFilter


class PasswordFilter(SafeExceptionReporterFilter):
    """Hides the URLs that hold a password too: of the servers, in the settings and in the environment."""

    hidden_settings = re.compile(
        rf"{SafeExceptionReporterFilter.hidden_settings.pattern}|^(\w*DATABASE_|REDIS_)?URL$", re.IGNORECASE
    )
