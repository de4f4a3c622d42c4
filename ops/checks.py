"""What ``manage.py check`` says of the declarations: warnings, since an error would end `migrate` too."""

from __future__ import annotations

from typing import Any

from django.core.checks import CheckMessage, Warning

from ops.operations import registry

_HINT = (
    "It alone is refused until it is mended, and nothing else is. What may be declared: docs/operations.md"
)


def check_declarations(**_: Any) -> list[CheckMessage]:
    """One for each operation that is refused, and for each ``operations`` module that cannot be imported."""
    found = {"ops.W001": registry.collect_errors(), "ops.W002": registry.find_nondeterministic()}
    return [
        Warning(problem, hint=_HINT, obj=where, id=number)
        for number, faults in found.items()
        for where, problem in faults.items()
    ]
