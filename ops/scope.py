"""The scope of a run: everything, a filter, or certain rows by key."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from django.core.exceptions import FieldDoesNotExist, FieldError, ValidationError
from django.db.models import Exists, Model, OuterRef, QuerySet, TextField
from django.db.models.functions import Cast

from ops.exceptions import InvalidScope
from ops.models import Key, Run


def key_text() -> Cast:
    """The key of the outer row as text, as audit rows, failures and keys name it."""
    return Cast(OuterRef("pk"), TextField())


@dataclass(frozen=True)
class Scope:
    """Which rows a run may look at, beside the operation's own queryset."""

    filter: Mapping[str, str] = field(default_factory=dict)
    keys: frozenset[str] | None = None

    @classmethod
    def of_keys(cls, keys: Iterable[Any]) -> Scope:
        return cls(keys=frozenset(str(key) for key in keys))

    @classmethod
    def of_run(cls, run: Run) -> Scope:
        return cls(filter=run.scope.get("filter", {}))

    def check(self, model: type[Model]) -> None:
        """Raise InvalidScope where the filter names no column of the model, or a value it cannot hold."""
        for name, value in self.filter.items():
            try:
                model._meta.get_field(name).to_python(value)  # type: ignore[union-attr]
            except (FieldDoesNotExist, AttributeError) as exc:
                columns = ", ".join(f.name for f in model._meta.concrete_fields)
                raise InvalidScope(f"{model._meta.label} has no column {name!r}; it has {columns}") from exc
            except ValidationError as exc:
                raise InvalidScope(f"{name}={value}: {' '.join(exc.messages)}") from exc

    def narrow(self, queryset: QuerySet[Any], run: Run | None = None) -> QuerySet[Any]:
        """The rows of the queryset in scope; once the run exists, its keys are read from their table."""
        try:
            queryset = queryset.filter(**self.filter)
        except (FieldError, ValueError) as exc:
            raise InvalidScope(str(exc)) from exc
        if run is not None and run.scope.get("keys"):
            return queryset.filter(Exists(Key.objects.filter(run=run, object_id=key_text())))
        if self.keys is not None:
            return queryset.filter(pk__in=self.keys)
        return queryset

    def as_json(self) -> dict[str, Any]:
        """What the run stores; the keys themselves go to their table."""
        return {"filter": dict(self.filter), "keys": self.keys is not None}
