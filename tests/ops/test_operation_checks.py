"""A check may have any queryset that can be counted, in a run over all rows or some."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db.models import Count, F, QuerySet, Window

from ops.operations import Check
from ops.operations.scope import Scope
from tests.ops.conftest import RegisterOperation
from tests.ops.running import create_things, execute_operation, make_operation
from tests.trials.models import Owner, Thing

pytestmark = [pytest.mark.engine, pytest.mark.django_db(transaction=True)]

MISSING = Thing.objects.filter(note=None)
NOTED = Thing.objects.exclude(note=None)
QUERYSETS: dict[str, Callable[[], QuerySet[Any]]] = {
    "grouped": lambda: NOTED.values("score").annotate(many=Count("pk")).filter(many__gt=1),
    "distinct": lambda: NOTED.values("score").distinct(),
    "distinct on": lambda: NOTED.order_by("score", "name").distinct("score"),
    "windowed": lambda: NOTED.annotate(many=Window(Count("*"), partition_by="score")).filter(many__gt=1),
    "joined": lambda: NOTED.filter(owner__name="Ana").order_by("owner__name"),
    "aggregated": lambda: NOTED.annotate(tagged=Count("tags")).filter(tagged=0),
    "many to many": lambda: NOTED.filter(friends__score=0).distinct(),
    "of days": lambda: NOTED.dates("updated_at", "day"),
    "in raw SQL": lambda: NOTED.extra(where=["id > 0"], select={"next": "id + 1"}),
    "over another table": lambda: Owner.objects.filter(things__note__isnull=False).distinct(),
}


@pytest.mark.parametrize("by_keys", [False, True])
@pytest.mark.parametrize("kind", QUERYSETS)
def test_a_check_may_count_any_queryset(declare: RegisterOperation, kind: str, by_keys: bool) -> None:
    rows = create_things(5, owner=Owner.objects.create(name="Ana"))
    rows[0].friends.add(rows[1])
    checks = [Check(kind, QUERYSETS[kind]()), Check("without a note", MISSING)]
    fill = declare(make_operation(MISSING, {"note": F("name")}, get_checks=lambda self: checks))
    run = execute_operation(fill, scope=Scope.of_keys(row.pk for row in rows) if by_keys else Scope())
    assert run.state == "verification_failed"
    count = QUERYSETS[kind]().count()
    assert count
    assert [check["found"] for check in run.checks] == [count, 0]
