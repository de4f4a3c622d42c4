"""The scope of a run: everything, a filter, certain rows by key, or the rows that a queryset finds now."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from django.core.exceptions import ValidationError
from django.db.models import Exists, Field, Model, QuerySet

from ops.exceptions import InvalidScope
from ops.models import Key, Run
from ops.sql.keys import among, key_text, store_keys
from ops.typed import manage


@dataclass(frozen=True)
class Scope:
    """Which rows a run may look at, beside the operation's own queryset."""

    filter: Mapping[str, str | None] = field(default_factory=dict)
    keys: frozenset[str] | None = None
    rows: QuerySet[Any] | None = None

    @classmethod
    def of_keys(cls, keys: Iterable[Any]) -> Scope:
        return cls(keys=frozenset(str(key) for key in keys))

    @classmethod
    def of_run(cls, run: Run) -> Scope:
        return cls(filter=run.scope.get("filter", {}))

    @classmethod
    def of_failures(cls, run: Run) -> Scope:
        """The rows that failed in the run, within its filter. Raises InvalidScope where none did."""
        keys = frozenset(run.failures.values_list("object_id", flat=True))
        if not keys:
            raise InvalidScope(
                f"run {run.pk} has no failed rows. To see it: {manage('runs', 'show', run.pk)}"
            )
        return cls(run.scope.get("filter", {}), keys)

    @property
    def is_everything(self) -> bool:
        return not self.filter and self.keys is None and self.rows is None

    def by_keys(self) -> Scope:
        """The same rows without a queryset, so that they can be written down: those that it finds now."""
        if self.rows is None:
            return self
        found = Scope.of_keys(self.rows.order_by().values_list("pk", flat=True)).keys or frozenset()
        return Scope(self.filter, found if self.keys is None else found & self.keys)

    def check(self, model: type[Model]) -> None:
        """Raise InvalidScope where the filter or a key is none that the model can have."""
        self._filter_of(model)
        self.keys_of(model)

    def keys_of(self, model: type[Model]) -> list[str]:
        """The keys as the database writes them: a UUID may have come in capitals. Raises InvalidScope."""
        return [str(_value(model._meta.pk, key, is_key=True)) for key in self.keys or ()]

    def narrow(self, queryset: QuerySet[Any], run: Run | None = None) -> QuerySet[Any]:
        """The rows of the queryset in scope; once the run exists, its keys are read from their table."""
        queryset = queryset.filter(**self._filter_of(queryset.model))
        if run is not None and run.scope.get("keys"):
            return queryset.filter(Exists(Key.objects.filter(run=run, object_id=key_text())))
        if self.keys is not None:
            keys = among(self.keys_of(queryset.model), queryset.model._meta.pk)
            queryset = queryset.filter(pk__in=keys)
        if self.rows is not None:
            queryset = queryset.filter(pk__in=self.rows.order_by().values("pk"))
        return queryset

    def store(self, run: Run, model: type[Model]) -> None:
        """Write down the rows of a run that is just being created."""
        keys = [Key(run=run, object_id=key) for key in self.keys_of(model)]
        Key.objects.bulk_create(keys)
        if self.rows is not None:
            store_keys(run, self.rows)

    def _filter_of(self, model: type[Model]) -> dict[str, Any]:
        table = model._meta.concrete_model or model
        fields = {field.name: field for field in table._meta.local_concrete_fields}
        if unknown := next((name for name in self.filter if name not in fields), None):
            raise InvalidScope(f"{model._meta.label} has no column {unknown!r}; it has {', '.join(fields)}")
        return {name: _value(fields[name], value) for name, value in self.filter.items()}

    def as_json(self) -> dict[str, Any]:
        """What the run stores; the keys themselves go to their table."""
        return {"filter": dict(self.filter), "keys": (self.keys, self.rows) != (None, None)}


def _value(field: Field[Any, Any], text: str | None, is_key: bool = False) -> Any:
    try:
        value = field.to_python(text)
        if is_key:  # the database refuses a number that is too large for the column
            field.run_validators(value)
        return value
    except (ValidationError, ValueError) as exc:
        reason = " ".join(exc.messages) if isinstance(exc, ValidationError) else str(exc)
        raise InvalidScope(f"{field.name}={text}: {reason}") from exc
