"""Tables to try the engine on: each of them has one thing that a real one may have."""

import uuid
from typing import Any

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q


class Owner(models.Model):
    name = models.CharField(max_length=20)


class Thing(models.Model):
    """The plain one. ``note`` is what most trials set, and what they look for when it is missing."""

    name = models.CharField(max_length=20)
    note = models.CharField(max_length=10, null=True)
    score = models.IntegerField(default=0)
    owner = models.ForeignKey(Owner, models.CASCADE, null=True, related_name="things")
    friends = models.ManyToManyField("self")
    doubled = models.GeneratedField(
        expression=F("score") * 2, output_field=models.IntegerField(), db_persist=True
    )
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(score__lt=1000), name="trials_thing_score_small")]


class Tag(models.Model):
    thing = models.ForeignKey(Thing, models.CASCADE, related_name="tags")
    label = models.CharField(max_length=20)


class Sort(models.Model):
    """One column of every kind."""

    done = models.BooleanField(default=False)
    text = models.TextField(null=True)
    short = models.CharField(max_length=5, null=True)
    number = models.IntegerField(null=True)
    price = models.DecimalField(max_digits=6, decimal_places=2, null=True)
    ratio = models.FloatField(null=True)
    flag = models.BooleanField(null=True)
    day = models.DateField(null=True)
    moment = models.DateTimeField(null=True)
    code = models.UUIDField(null=True)
    words = ArrayField(models.CharField(max_length=5), null=True)
    data = models.JSONField(null=True)
    owner = models.ForeignKey(Owner, models.CASCADE, null=True)


class Odd(models.Model):
    """Names that are only names when they are quoted."""

    title = models.CharField(max_length=20, db_column="The Title")
    copy = models.CharField(max_length=20, null=True, db_column="select")

    class Meta:
        db_table = "Odd things, in Order;"


class TextKeyed(models.Model):
    code = models.TextField(primary_key=True)
    note = models.CharField(max_length=10, null=True)


class UuidKeyed(models.Model):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    note = models.CharField(max_length=10, null=True)


class DateKeyed(models.Model):
    day = models.DateField(primary_key=True)
    note = models.CharField(max_length=10, null=True)


class Profile(models.Model):
    owner = models.OneToOneField(Owner, models.CASCADE, primary_key=True)
    note = models.CharField(max_length=10, null=True)


class SpecialThing(Thing):
    """Its rows lie in two tables."""

    extra = models.CharField(max_length=10, null=True)


class Renamed(models.Model):
    """Table and columns called as the engine might call something of its own."""

    price = models.IntegerField(null=True)
    new_price = models.IntegerField(null=True)
    old_price = models.IntegerField(null=True)
    row_version = models.IntegerField(default=0)
    row_label = models.CharField(max_length=10, default="")
    place = models.IntegerField(default=0, db_column="pk")

    class Meta:
        db_table = "before"


class Elsewhere(models.Model):
    """In another schema, with names that must be quoted, its keys in an order of their own.

    The test that wants the table creates it.
    """

    code = models.TextField(primary_key=True, db_collation="C")
    note = models.CharField(max_length=10, null=True, db_column="order")
    after = models.CharField(max_length=10, null=True)

    class Meta:
        db_table = '"Other schema"."changed"'
        managed = False


class Composite(models.Model):
    pk = models.CompositePrimaryKey("a", "b")
    a = models.IntegerField()
    b = models.IntegerField()
    note = models.CharField(max_length=10, null=True)


class OfType(models.TextField):
    """A column of a type that the test says."""

    def __init__(self, kind: str = "text", **options: Any) -> None:
        super().__init__(**{**options, "null": True})
        self.kind = kind

    def db_type(self, connection: Any) -> str:
        return self.kind


class Typed(models.Model):
    """The test that wants the table creates it."""

    done = models.BooleanField(default=False)
    value = OfType()

    class Meta:
        managed = False


class Shown(models.Model):
    """What PostgreSQL tells as the session wants it. The test that wants the table creates it."""

    done = models.BooleanField(default=False)
    moment = OfType("timestamptz")
    moments = OfType("timestamptz[]")
    span = OfType("tstzrange")
    spans = OfType("tstzmultirange")
    days = OfType("daterange")
    clock = OfType("timetz")
    during = OfType("interval", db_column="while")
    whiles = OfType("interval[]")
    raw = OfType("bytea")
    raws = OfType("bytea[]")
    double = OfType("float8")
    single = OfType("float4")
    doubles = OfType("float8[]")
    price = OfType("money")
    pair = OfType("trials_pair")
    pairs = OfType("trials_pair[]")
    data = OfType("jsonb")

    class Meta:
        managed = False


class Changed(models.Model):
    """A column change is planned for it. The test creates the table, in which ``new`` may be missing."""

    old = models.TextField(null=True)
    new = models.TextField(null=True)
    other = models.IntegerField(null=True)
    number = models.BigIntegerField(null=True)
    number_v2 = models.BigIntegerField(null=True)
    data = OfType("json")
    data_v2 = OfType("json")

    class Meta:
        managed = False
        db_table = "changed"
