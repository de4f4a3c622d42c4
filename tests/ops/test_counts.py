"""Counting several querysets in one scan counts what each counts alone."""

import pytest
from django.db import connection
from django.db.models import Count, Exists, F, OuterRef, Q, Window
from django.test.utils import CaptureQueriesContext

from ops.sql.counts import count_querysets
from tests.ops.running import create_things
from tests.trials.models import Owner, Tag, Thing

pytestmark = [pytest.mark.engine, pytest.mark.django_db]

TAGGED = Exists(Tag.objects.filter(thing=OuterRef("pk")))
OVER_ONE_TABLE = [
    Thing.objects.all(),
    Thing.objects.none(),
    Thing.objects.filter(name__in=[]),
    Thing.objects.exclude(name__in=[]),
    Thing.objects.filter(note=None),
    Thing.objects.filter(Q(note="100%") | ~Q(score__lt=5)).order_by("name"),
    Thing.objects.alias(more=F("score") + 1).filter(more__gt=7),
    Thing.objects.annotate(is_tagged=TAGGED).filter(is_tagged=True),
    Thing.objects.exclude(TAGGED),
]
OTHERS = [
    Thing.objects.filter(owner__name="Ana"),
    Thing.objects.values("score").distinct(),
    Thing.objects.order_by("pk")[2:4],
    Thing.objects.values("score").annotate(many=Count("pk")).filter(many__gt=1),
    Thing.objects.filter(score=1).union(Thing.objects.filter(score=2)),
    Thing.objects.extra(tables=["trials_owner"], where=["trials_owner.id = trials_thing.owner_id"]),
    Thing.objects.annotate(many=Window(Count("*"), partition_by="score")).filter(many__gt=2),
    Thing.objects.annotate(many=Window(Count("*"), partition_by="score")),
    Owner.objects.all(),
]


@pytest.fixture(autouse=True)
def rows() -> None:
    ana = Owner.objects.create(name="Ana")
    things = (
        create_things(3, score=1, owner=ana)
        + create_things(4, score=8, note="100%")
        + create_things(2, score=6)
    )
    Tag.objects.bulk_create(Tag(thing=thing, label="x") for thing in [things[0], things[0], things[5]])


def test_counting_together_gives_the_counts_of_each_alone() -> None:
    assert count_querysets([*OVER_ONE_TABLE, *OTHERS]) == [
        rows.count() for rows in [*OVER_ONE_TABLE, *OTHERS]
    ]


def test_querysets_over_one_table_are_counted_in_one_scan() -> None:
    with CaptureQueriesContext(connection) as queries:
        count_querysets(OVER_ONE_TABLE)
    assert len(queries) == 1


def test_nothing_is_counted_of_nothing() -> None:
    assert count_querysets([]) == []
    assert count_querysets([Thing.objects.none()]) == [0]
