"""Operations that tests type at a command line, where no test can declare one."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from django import forms
from django.db.models import F, QuerySet

from ops.operations import Check, Operation, register
from tests.trials.models import Thing


@register
class Annotate(Operation):
    """Copy the name of each thing into its note."""

    name = "trials_annotate"
    model = Thing
    group_by = "score"
    display_field = "name"

    def get_queryset(self) -> QuerySet[Thing]:
        # A set of words has another order in every process.
        return Thing.objects.filter(note=None).exclude(name__in={"hidden", "veiled", "secret", "masked"})

    def get_changes(self) -> Mapping[str, Any]:
        return {"note": F("name")}

    def get_checks(self) -> Iterable[Check]:
        return [Check("things without a note", Thing.objects.filter(note=None))]


class ScoreParams(forms.Form):
    score = forms.IntegerField(max_value=2000)
    only_noted = forms.BooleanField(required=False)

    def clean(self) -> dict[str, Any]:
        if self.cleaned_data.get("score") == 13:
            raise forms.ValidationError("thirteen is refused.")
        return self.cleaned_data


@register
class SetScore(Operation):
    """Set the score of every thing."""

    name = "trials_score"
    model = Thing
    Params = ScoreParams
    example = {"score": 5}

    def get_queryset(self) -> QuerySet[Thing]:
        rows = Thing.objects.exclude(score=self.params["score"])
        return rows.filter(note__isnull=False) if self.params["only_noted"] else rows

    def get_changes(self) -> Mapping[str, Any]:
        return {"score": self.params["score"]}


@register
class Recite(Operation):
    """Compute each note in Python."""

    name = "trials_recite"
    model = Thing
    columns = ["note"]

    def get_queryset(self) -> QuerySet[Thing]:
        return Thing.objects.filter(note=None)

    def process(self, rows: Sequence[Thing]) -> Mapping[Any, Mapping[str, Any] | Exception]:
        if "TRIALS_RECITE_FAILS" in os.environ:
            raise ConnectionError("the reciter is away")
        return {row.pk: {"note": row.name.upper()} for row in rows}
