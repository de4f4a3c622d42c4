"""The search for cards: parts of words, in any order, however they are spelled."""

from __future__ import annotations

from collections.abc import Iterator

from django.db.models import Func, Q, QuerySet, TextField, Value
from django.utils.text import smart_split, unescape_string_literal

from cards.models import Card


class Folded(Func):
    """A text without accents and in lower case, by the function that folds the cards."""

    function = "card_search_fold"
    output_field = TextField()


# Note [A search reads the whole table]
# card_search has 88 bytes a card, so that reading all of it takes 0.1 s for 1,000,000 cards, in any plan: one
# hit, none, or a filter that few cards pass. Where hits are dense, PostgreSQL walks the list's order instead,
# and stops at the last row that is shown. An index of trigrams finds one hit in 1 ms, but a card that is
# loaded then costs 33 µs more, a third of the load.
def filter_matching(cards: QuerySet[Card], query: str) -> QuerySet[Card]:
    """Filter the cards in whose title, card id or pack each word, or "quoted phrase", of the query is."""
    if "\0" in query:  # PostgreSQL cannot store it, so no card has it.
        return cards.none()
    words = sorted(set(_iter_words(query)), key=lambda word: (-len(word), word))
    return cards.filter(*(Q(search__text__contains=Folded(Value(word))) for word in words))


def _iter_words(query: str) -> Iterator[str]:
    for word in smart_split(query):
        is_quoted = len(word) > 1 and word[0] in "\"'" and word[0] == word[-1]
        yield unescape_string_literal(word) if is_quoted else word
