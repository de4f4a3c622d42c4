"""Which thumbnails are stale: told by their own names.

# Note [A thumbnail's name says what it was made from]
A thumbnail is called ``thumbnails/3f/3f<30 more>-<12>-<16>.webp``: the digest of its card and picture, the
digest of how its rarity was dressed, and the checksum of the file. So a stale thumbnail is one whose name is
not the one that its card would get now. Nothing has to be recorded when a card is promoted, given another
picture, or a rule is changed, by whoever: no writer can forget it, a million promoted cards cost nothing, and
a changed rule is one row. A million names are compared in about a second: the rules are hashed once a query.
"""

from __future__ import annotations

from typing import Any

from django.db.models import Expression, F, OuterRef, Q, QuerySet, Subquery, TextField, Value
from django.db.models.functions import MD5, Cast, Concat, Left, Substr

from cards.models import Card, PresentationRule
from ops import followups
from ops.scope import Scope

FOLDER = "thumbnails/"
# To be raised when thumbnails are drawn otherwise than before: all of them are stale then.
DRAWING = 2
_PICTURE, _DRESS = 32, 12
_PICTURE_AT = len(FOLDER) + len("3f/") + 1
_DRESS_AT = _PICTURE_AT + _PICTURE + 1
_MADE_HERE = rf"^{FOLDER}[0-9a-f]{{2}}/[0-9a-f]{{{_PICTURE}}}-[0-9a-f]{{{_DRESS}}}-[0-9a-f]{{16}}\.webp$"
# No picture in the storage: none at all, or one that ``is_elsewhere``.
_ELSEWHERE = Q(image__contains="://") | Q(image__startswith="//") | Q(image__istartswith="data:")
_NONE = Q(image="") | _ELSEWHERE


def name_of(picture: str, dress: str, checksum: str) -> str:
    """See Note [A thumbnail's name says what it was made from]."""
    return f"{FOLDER}{picture[:2]}/{picture}-{dress}-{checksum[:16]}.webp"


def is_elsewhere(image: str) -> bool:
    """Whether it is an address in the web, from where nothing is fetched: there is no thumbnail to make."""
    return "://" in image or image.lower().startswith(("//", "data:"))


def stale_cards() -> QuerySet[Card]:
    """Cards whose thumbnail is not, or no longer, that of their picture and rarity.

    A card without a picture in the storage is stale while it has one that was made here.

    Each has ``picture_`` and ``dress_``, the digests of which its name is to be made, and ``look_``, what its
    rule says; the last two are None where its rarity has no rule.
    """
    dresses = PresentationRule.objects.values_list(Concat("rarity", Value(" "), _dress()))
    fresh = Q(made_of=F("picture_"), dressed__in=dresses)
    framed = Card.objects.alias(
        made_of=Substr("thumbnail", _PICTURE_AT, _PICTURE),
        dressed=Concat("rarity", Value(" "), Substr("thumbnail", _DRESS_AT, _DRESS)),
    ).annotate(picture_=_picture(), look_=_rule(_look()), dress_=_rule(_dress()))
    left_over = Q(thumbnail__regex=_MADE_HERE)
    return framed.filter((~_NONE & ~fresh) | (_NONE & left_over))


def render_stale(performed_by: str, *keys: Any) -> None:
    """Let the workers render what a change that is no run has made stale; in its transaction.

    With ``keys``, of cards that were saved one by one, nobody looks through all the others.
    """
    scope = Scope.of_keys(keys) if keys else Scope()
    followups.request("render_thumbnails", performed_by, scope=scope)


def _picture() -> Expression:
    return MD5(Concat(Cast("pk", TextField()), Value(" "), "image", output_field=TextField()))


def _look() -> Expression:
    glow = Cast("glow_effect", TextField())
    return Concat("frame_color", Value(" "), glow, Value(" "), "badge_icon", output_field=TextField())


def _dress() -> Expression:
    return Left(MD5(Concat(_look(), Value(f" {DRAWING}"))), _DRESS)


def _rule(told: Expression) -> Subquery:
    rule = PresentationRule.objects.filter(rarity=OuterRef("rarity")).order_by()
    return Subquery(rule.values_list(told), output_field=TextField())
