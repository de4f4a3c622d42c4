"""The scope of a run: everything, a filter, certain rows by key, or the rows that a queryset finds now."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from django.apps import apps
from django.db import DataError, transaction
from django.db.models import Model, QuerySet

from ops.command_lines import manage_command
from ops.exceptions import InvalidScope
from ops.formatting import format_value
from ops.models import AuditLog, Failure, Key, Run
from ops.operations.filters import build_filter_kwargs, parse_value
from ops.sql.keylist import KeyList, store_queryset_keys, store_text_keys
from ops.sql.keys import keys_as_array


@dataclass(frozen=True)
class Scope:
    """Which rows a run may look at, beside the operation's own queryset.

    ``keys``, ``rows``, and the failed rows of the run ``failed_in`` are written down when the run is created;
    the rows that the run ``changed_by`` changed are read in the audit log.
    """

    filter: Mapping[str, str | None] = field(default_factory=dict)
    keys: frozenset[str] | None = None
    rows: QuerySet[Any] | None = None
    failed_in: int | None = None
    changed_by: int | None = None

    @classmethod
    def of_keys(cls, keys: Iterable[Any]) -> Scope:
        return cls(keys=frozenset(str(key) for key in keys))

    @classmethod
    def of_run(cls, run: Run) -> Scope:
        return cls(filter=run.scope.get("filter", {}), changed_by=run.scope.get("changed_by"))

    @classmethod
    def of_failures(cls, run: Run) -> Scope:
        """The rows that failed in the run, within its filter. Raises InvalidScope where none did."""
        if not run.failures.exists():
            raise InvalidScope(
                f"run {run.pk} has no failed rows. To see it: {manage_command('runs', 'show', run.pk)}"
            )
        return cls(run.scope.get("filter", {}), failed_in=run.pk)

    @property
    def is_everything(self) -> bool:
        return self == Scope()

    def materialize(self) -> Scope:
        """The same rows without a queryset, so that they can be written down: those that it finds now."""
        if self.rows is None:
            return self
        found = Scope.of_keys(self.rows.order_by().values_list("pk", flat=True)).keys or frozenset()
        return Scope(self.filter, found if self.keys is None else found & self.keys)

    def check(self, model: type[Model]) -> None:
        """Raise InvalidScope where the filter or a key is none that the model can have."""
        self.check_filter(model)
        self.canonical_keys(model)

    def check_filter(self, model: type[Model]) -> None:
        """The keys are checked when they are stored."""
        build_filter_kwargs(model, self.filter)

    def canonical_keys(self, model: type[Model]) -> list[str]:
        """The keys as the database writes them: a UUID may have come in capitals. Raises InvalidScope."""
        return [str(parse_value(model._meta.pk, key, is_key=True)) for key in self.keys or ()]

    def apply(self, queryset: QuerySet[Any], run: Run | None = None) -> QuerySet[Any]:
        """The rows of any queryset over the model in scope; of a run that is created, by its list of keys."""
        queryset = queryset.filter(**build_filter_kwargs(queryset.model, self.filter))
        if listed := self.key_list(run):
            return queryset.filter(pk__in=listed.typed_keys(queryset.model))
        return self._apply_inline(queryset)

    def apply_joined(self, queryset: QuerySet[Any], run: Run | None = None) -> QuerySet[Any]:
        """As ``narrow``, of a queryset over the model's own table: it is joined with the list of keys."""
        queryset = queryset.filter(**build_filter_kwargs(queryset.model, self.filter))
        if listed := self.key_list(run):
            return listed.join(queryset)
        return self._apply_inline(queryset)

    def key_list(self, run: Run | None) -> KeyList | None:
        """What names the rows in scope one by one, if anything does."""
        if run is not None and run.scope.get("keys"):
            return KeyList(Key, run.pk)
        if self.failed_in is not None:
            return KeyList(Failure, self.failed_in)
        return None if self.changed_by is None else KeyList(AuditLog, self.changed_by)

    def _apply_inline(self, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if self.keys is not None:
            keys = keys_as_array(self.canonical_keys(queryset.model), queryset.model._meta.pk)
            queryset = queryset.filter(pk__in=keys)
        if self.rows is not None:
            queryset = queryset.filter(pk__in=self.rows.order_by().values("pk"))
        return queryset

    def store(self, run: Run, model: type[Model]) -> None:
        """Write down the rows of a run that is just being created. Raises InvalidScope."""
        if self.keys:
            self._store_keys(run, model)
        if self.rows is not None:
            store_queryset_keys(run, self.rows.values_list("pk"))
        if self.failed_in is not None:
            store_queryset_keys(run, KeyList(Failure, self.failed_in).keys())

    def _store_keys(self, run: Run, model: type[Model]) -> None:
        try:
            with transaction.atomic():
                store_text_keys(run, self.keys or (), model._meta.pk)
        except DataError as exc:
            self.canonical_keys(model)  # says which, and why
            raise InvalidScope(str(exc).strip()) from exc

    def as_json(self) -> dict[str, Any]:
        """What the run stores; the keys themselves go to their table."""
        keys = (self.keys, self.rows, self.failed_in) != (None, None, None)
        changed_by = {} if self.changed_by is None else {"changed_by": self.changed_by}
        return {"filter": dict(self.filter), "keys": keys, **changed_by}


def describe_scope(run: Run) -> str:
    """The rows that the run was asked for; empty where that is all of them."""
    parts = [f"{name}={format_value(value)}" for name, value in run.scope.get("filter", {}).items()]
    if run.scope.get("keys"):
        parts.append(f"{run.keys.count():,} {_model_plural(run)} by key")
    if changed_by := run.scope.get("changed_by"):
        parts.append(f"the {_model_plural(run)} that run {changed_by} changed")
    return ", ".join(parts)


def _model_plural(run: Run) -> str:
    try:
        return str(apps.get_model(run.model)._meta.verbose_name_plural)
    except LookupError:
        return "rows"
