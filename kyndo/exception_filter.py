"""The filter that hides secrets on Django's debug page, which is shown where DEBUG is on."""

from __future__ import annotations

import re

from django.views.debug import SafeExceptionReporterFilter


class PasswordFilter(SafeExceptionReporterFilter):
    """Hide also the server URLs in settings and environment, since they contain passwords."""

    hidden_settings = re.compile(
        rf"{SafeExceptionReporterFilter.hidden_settings.pattern}|^(\w*DATABASE_|REDIS_)?URL$", re.IGNORECASE
    )
