"""Which thumbnails are stale, as their names tell.

# Note [A thumbnail's name says what it was made from]
A thumbnail is called ``thumbnails/3f/3f<30 more>-<12>-<16>.webp``: the digest of its card and picture, the
digest of how its rarity was dressed, and the checksum of the file. So a stale thumbnail is one whose name is
not the one that its card would get now. Nothing has to be recorded when a card is promoted, given another
picture, or a rule is changed, by whoever: no writer can forget it, a million promoted cards cost nothing, and
a changed rule is one row. A million names are compared in about a second: the rules are hashed once a query.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from django.db.models import Expression, OuterRef, Q, QuerySet, Subquery, TextField, Value
from django.db.models.functions import MD5, Cast, Concat, Left, Substr

from cards.models import Card, PresentationRule
from ops.operations.scope import Scope
from ops.runs import followups

STORAGE_FOLDER = "thumbnails/"
# Increment this when the rendering changes: all thumbnails are stale then.
DRAWING_VERSION = 2
_PICTURE_DIGEST_LENGTH, _STYLE_DIGEST_LENGTH = 32, 12
_PICTURE_DIGEST_START = len(STORAGE_FOLDER) + len("3f/") + 1
_STYLE_DIGEST_START = _PICTURE_DIGEST_START + _PICTURE_DIGEST_LENGTH + 1
_THUMBNAIL_NAME_REGEX = (
    rf"^{STORAGE_FOLDER}[0-9a-f]{{2}}/[0-9a-f]{{{_PICTURE_DIGEST_LENGTH}}}"
    rf"-[0-9a-f]{{{_STYLE_DIGEST_LENGTH}}}-[0-9a-f]{{16}}\.webp$"
)
# No picture in the storage: none at all, or an external URL.
_HAS_EXTERNAL_IMAGE = Q(image__contains="://") | Q(image__startswith="//") | Q(image__istartswith="data:")
_HAS_NO_STORED_IMAGE = Q(image="") | _HAS_EXTERNAL_IMAGE


class ThumbnailState(StrEnum):
    """``made`` is as it would be made now; ``stale`` is of another picture, rarity or rule."""

    NONE = "none"
    MADE = "made"
    STALE = "stale"


def thumbnail_name(picture: str, dress: str, checksum: str) -> str:
    """Build the name from digests and checksum: Note [A thumbnail's name says what it was made from]."""
    return f"{STORAGE_FOLDER}{picture[:2]}/{picture}-{dress}-{checksum[:16]}.webp"


def is_external_url(image: str) -> bool:
    """Return whether the image is a URL: it is not downloaded, so there is no thumbnail."""
    return "://" in image or image.lower().startswith(("//", "data:"))


def stale_cards(rarity: str) -> QuerySet[Card]:
    """Return the cards whose thumbnail does not match their picture and rarity; ``rarity`` is its field.

    A card without a picture in the storage is stale if it has a thumbnail that was rendered here.

    Annotations: ``picture_`` and ``dress_``, the digests of the new name, and ``look_``, the text of the
    rule; the last two are None if the rarity has no rule.
    """
    annotated = _alias_parts(Card.objects.all(), rarity).annotate(
        picture_=_picture_digest(),
        look_=_rule_subquery(rarity, _style_text()),
        dress_=_rule_subquery(rarity, _style_digest()),
    )
    return annotated.filter(_is_stale())


def filter_by_thumbnail(cards: QuerySet[Card], state: ThumbnailState, rarity: str) -> QuerySet[Card]:
    """Filter the cards by the state of their thumbnail; ``rarity`` is the field that has their rarity."""
    if state is ThumbnailState.NONE:
        return cards.filter(thumbnail="")
    condition = _is_stale() if state is ThumbnailState.STALE else ~_is_stale()
    return _alias_parts(cards, rarity).exclude(thumbnail="").filter(condition)


def _alias_parts(cards: QuerySet[Card], rarity: str) -> QuerySet[Card]:
    """Alias what the thumbnail was made of: the picture, and the rarity with the style of its frame."""
    return cards.alias(
        made_of=Substr("thumbnail", _PICTURE_DIGEST_START, _PICTURE_DIGEST_LENGTH),
        dressed=Concat(rarity, Value(" "), Substr("thumbnail", _STYLE_DIGEST_START, _STYLE_DIGEST_LENGTH)),
    )


def _is_stale() -> Q:
    current_styles = PresentationRule.objects.values_list(Concat("rarity", Value(" "), _style_digest()))
    fresh = Q(made_of=_picture_digest(), dressed__in=current_styles)
    left_over = Q(thumbnail__regex=_THUMBNAIL_NAME_REGEX)
    return (~_HAS_NO_STORED_IMAGE & ~fresh) | (_HAS_NO_STORED_IMAGE & left_over)


def request_stale_rendering(performed_by: str, *keys: Any) -> None:
    """Request a rendering run, in the transaction of a change that is not itself a run.

    With ``keys``, the run is limited to these cards and does not scan the others.
    """
    scope = Scope.of_keys(keys) if keys else Scope()
    followups.request_followup("render_thumbnails", performed_by, scope=scope)


def _picture_digest() -> Expression:
    return MD5(Concat(Cast("pk", TextField()), Value(" "), "image", output_field=TextField()))


def _style_text() -> Expression:
    glow = Cast("glow_effect", TextField())
    return Concat("frame_color", Value(" "), glow, Value(" "), "badge_icon", output_field=TextField())


def _style_digest() -> Expression:
    return Left(MD5(Concat(_style_text(), Value(f" {DRAWING_VERSION}"))), _STYLE_DIGEST_LENGTH)


def _rule_subquery(rarity: str, expression: Expression) -> Subquery:
    rule = PresentationRule.objects.filter(rarity=OuterRef(rarity)).order_by()
    return Subquery(rule.values_list(expression), output_field=TextField())
