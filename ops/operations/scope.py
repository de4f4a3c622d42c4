"""The scope of a run: all rows, a filter, chosen keys, or the rows that a queryset selects now."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from django.apps import apps
from django.db import DataError, transaction
from django.db.models import Model, QuerySet

from ops.command_lines import manage_command
from ops.exceptions import InvalidScope
from ops.formatting import format_value, pluralize
from ops.models import AuditLog, Failure, Key, Run
from ops.operations.filters import build_filter_kwargs, parse_value
from ops.sql.keylist import KeyList, store_queryset_keys, store_text_keys
from ops.sql.keys import keys_as_array


@dataclass(frozen=True)
class Scope:
    """Limit the rows of a run, in addition to the operation's own queryset.

    The keys of ``keys``, of ``queryset``, and of the rows that failed in the run ``failed_in_run`` are stored
    when the run is created; the rows that the run ``changed_by_run`` changed are read from the audit log.
    """

    filter: Mapping[str, str | None] = field(default_factory=dict)
    keys: frozenset[str] | None = None
    queryset: QuerySet[Any] | None = None
    failed_in_run: int | None = None
    changed_by_run: int | None = None

    @classmethod
    def of_keys(cls, keys: Iterable[Any]) -> Scope:
        return cls(keys=frozenset(str(key) for key in keys))

    @classmethod
    def of_run(cls, run: Run) -> Scope:
        return cls(filter=run.scope.get("filter", {}), changed_by_run=run.scope.get("changed_by"))

    @classmethod
    def of_failures(cls, run: Run) -> Scope:
        """The rows that failed in the run, within its filter. Raises InvalidScope if there are none."""
        if not run.failures.exists():
            raise InvalidScope(
                f"Run {run.pk} has no failed rows.",
                f"To see it: {manage_command('runs', 'show', run.pk)}",
            )
        return cls(run.scope.get("filter", {}), failed_in_run=run.pk)

    @property
    def is_unrestricted(self) -> bool:
        return self == Scope()

    def materialize(self) -> Scope:
        """The same scope with keys in place of a queryset: those of the rows that it selects now."""
        if self.queryset is None:
            return self
        keys = Scope.of_keys(self.queryset.order_by().values_list("pk", flat=True)).keys or frozenset()
        return Scope(self.filter, keys if self.keys is None else keys & self.keys)

    def validate(self, model: type[Model]) -> None:
        """Raise InvalidScope if the filter or a key is invalid for the model."""
        self.validate_filter(model)
        self.canonical_keys(model)

    def validate_filter(self, model: type[Model]) -> None:
        """Raise InvalidScope if the filter is invalid; the keys are checked when they are stored."""
        build_filter_kwargs(model, self.filter)

    def canonical_keys(self, model: type[Model]) -> list[str]:
        """The keys in the database's notation: a UUID may be given in capitals. Raises InvalidScope."""
        return [str(parse_value(model._meta.pk, key, is_key=True)) for key in self.keys or ()]

    def apply(self, queryset: QuerySet[Any], run: Run | None = None) -> QuerySet[Any]:
        """Filter any queryset over the model by the scope; for a run, by its stored keys."""
        queryset = queryset.filter(**build_filter_kwargs(queryset.model, self.filter))
        if key_list := self.key_list(run):
            return queryset.filter(pk__in=key_list.typed_keys(queryset.model))
        return self._apply_inline(queryset)

    def apply_joined(self, queryset: QuerySet[Any], run: Run | None = None) -> QuerySet[Any]:
        """As ``apply``, for a queryset over the model's own table: join it with the list of keys."""
        queryset = queryset.filter(**build_filter_kwargs(queryset.model, self.filter))
        if key_list := self.key_list(run):
            return key_list.join(queryset)
        return self._apply_inline(queryset)

    def key_list(self, run: Run | None) -> KeyList | None:
        """The list of the keys in scope, if there is one."""
        if run is not None and run.scope.get("keys"):
            return KeyList(Key, run.pk)
        if self.failed_in_run is not None:
            return KeyList(Failure, self.failed_in_run)
        return None if self.changed_by_run is None else KeyList(AuditLog, self.changed_by_run)

    def _apply_inline(self, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if self.keys is not None:
            keys = keys_as_array(self.canonical_keys(queryset.model), queryset.model._meta.pk)
            queryset = queryset.filter(pk__in=keys)
        if self.queryset is not None:
            queryset = queryset.filter(pk__in=self.queryset.order_by().values("pk"))
        return queryset

    def store(self, run: Run, model: type[Model]) -> None:
        """Store the keys of a run that is being created. Raises InvalidScope."""
        if self.keys:
            self._store_keys(run, model)
        if self.queryset is not None:
            store_queryset_keys(run, self.queryset.values_list("pk"))
        if self.failed_in_run is not None:
            store_queryset_keys(run, KeyList(Failure, self.failed_in_run).keys())

    def _store_keys(self, run: Run, model: type[Model]) -> None:
        try:
            with transaction.atomic():
                store_text_keys(run, self.keys or (), model._meta.pk)
        except DataError as exc:
            self.canonical_keys(model)  # raises for the invalid key, and says why
            raise InvalidScope(str(exc).strip()) from exc

    def as_json(self) -> dict[str, Any]:
        """The value of ``Run.scope``; the keys themselves are rows of Key."""
        has_keys = (self.keys, self.queryset, self.failed_in_run) != (None, None, None)
        changed_by = {} if self.changed_by_run is None else {"changed_by": self.changed_by_run}
        retries = {} if self.failed_in_run is None else {"retries": self.failed_in_run}
        return {"filter": dict(self.filter), "keys": has_keys, **changed_by, **retries}


def describe_scope(run: Run) -> str:
    """Describe the run's scope: ``pack_id=birds, 30 cards by key``; empty for all rows."""
    parts = [f"{name}={format_value(value)}" for name, value in run.scope.get("filter", {}).items()]
    if run.scope.get("keys"):
        count, (one, many) = run.keys.count(), _row_nouns(run)
        parts.append(f"{pluralize(count, one, many)} by key")
    if changed_by := run.scope.get("changed_by"):
        parts.append(f"the {_row_nouns(run)[1]} that run {changed_by} changed")
    return ", ".join(parts)


def _row_nouns(run: Run) -> tuple[str, str]:
    """What one row and several rows of the run's model are called."""
    try:
        meta = apps.get_model(run.model)._meta
    except LookupError:
        return "row", "rows"
    return str(meta.verbose_name), str(meta.verbose_name_plural)
