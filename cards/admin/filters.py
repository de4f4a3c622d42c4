"""The filters of the list of cards."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.contrib.admin import SimpleListFilter
from django.contrib.admin.options import IncorrectLookupParameters
from django.db.models import F, QuerySet
from django.http import HttpRequest

from cards.admin.rarity import list_rarities
from cards.models import Card, CardTag
from cards.rarity import rarity_field
from cards.thumbnails.stale import ThumbnailState, filter_by_thumbnail
from ops.admin.lists.filters import SuggestingFilter, ValueFilter
from ops.sql.distinct import list_distinct


class RarityFilter(ValueFilter):
    """Offers the rarities that have a presentation rule."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.title = "rarity"

    def values(self) -> Iterable[str]:
        return list_rarities()


class TagFilter(SuggestingFilter):
    """The cards with one tag, found in a table of their tags."""

    lookup = "contains"
    joined_key = "tagged_key"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.title = "tags"

    def suggest(self, limit: int) -> list[str]:
        return list_distinct(CardTag, "tag", limit)

    def queryset(self, request: HttpRequest, queryset: QuerySet[Card]) -> QuerySet[Card] | None:
        if self.selected_value is None:
            return None
        tagged = queryset.filter(tag_rows__tag=self.selected_value)
        return tagged.alias(tagged_key=F("tag_rows__card_id"))


class ThumbnailFilter(SimpleListFilter):
    """The cards by the state of their thumbnail, which is stored nowhere: each card is looked at."""

    title = parameter_name = "thumbnail"
    is_scanned = True

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [
            (ThumbnailState.NONE, "None"),
            (ThumbnailState.MADE, "Up to date"),
            (ThumbnailState.STALE, "Out of date"),
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Card]) -> None:
        """Leave all cards: the list calls ``scan``."""

    def scan(self, cards: QuerySet[Card]) -> QuerySet[Card]:
        try:
            state = ThumbnailState(self.value() or "")
        except ValueError as exc:
            raise IncorrectLookupParameters from exc
        return filter_by_thumbnail(cards, state, rarity_field())
