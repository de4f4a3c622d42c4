"""How tests stage, apply and revert change sets."""

from collections.abc import Iterable
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission, User
from django.db.models import Model

from cards.models import Card
from ops.change_sets.cells import Cell
from ops.change_sets.staging import stage_cells
from ops.models import ChangeSet, Run
from ops.operations import ApplyChangeSet, Revert
from tests.ops.running import execute_operation


def make_editor(model: type[Model] = Card, name: str = "ana") -> User:
    user, _ = get_user_model().objects.get_or_create(username=name)
    user.user_permissions.add(
        Permission.objects.get(
            codename=f"change_{model._meta.model_name}", content_type__app_label=model._meta.app_label
        )
    )
    return get_user_model().objects.get(pk=user.pk)  # without cached permissions


def make_card(number: int = 1, **values: Any) -> Card:
    card = Card.objects.create(**{"card_id": f"c{number}", "title": "t", "pack_id": "p", **values})
    return Card.objects.get(pk=card.pk)


def stage(model: type[Model], *cells: tuple[Model, str, Any, Any], by: User | None = None) -> ChangeSet:
    given: Iterable[Cell] = (Cell(str(row.pk), column, seen, new) for row, column, seen, new in cells)
    return stage_cells(model, given, by or make_editor(model), title="trial")


def apply(change_set: ChangeSet, **params: Any) -> Run:
    return execute_operation(ApplyChangeSet, params={"change_set": change_set.pk, **params})


def revert(run: Run) -> Run:
    return execute_operation(Revert, params={"run": run.pk})


def columns(row: Model, *names: str) -> list[Any]:
    return list(type(row)._base_manager.values_list(*names).get(pk=row.pk))
