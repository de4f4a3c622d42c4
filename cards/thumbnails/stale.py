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
from ops.operations.scope import Scope
from ops.runs import followups

STORAGE_FOLDER = "thumbnails/"
# To be raised when thumbnails are drawn otherwise than before: all of them are stale then.
DRAWING_VERSION = 2
_PICTURE_DIGEST_LENGTH, _STYLE_DIGEST_LENGTH = 32, 12
_PICTURE_DIGEST_START = len(STORAGE_FOLDER) + len("3f/") + 1
_STYLE_DIGEST_START = _PICTURE_DIGEST_START + _PICTURE_DIGEST_LENGTH + 1
_THUMBNAIL_NAME_REGEX = (
    rf"^{STORAGE_FOLDER}[0-9a-f]{{2}}/[0-9a-f]{{{_PICTURE_DIGEST_LENGTH}}}"
    rf"-[0-9a-f]{{{_STYLE_DIGEST_LENGTH}}}-[0-9a-f]{{16}}\.webp$"
)
# No picture in the storage: none at all, or one that ``is_elsewhere``.
_HAS_EXTERNAL_IMAGE = Q(image__contains="://") | Q(image__startswith="//") | Q(image__istartswith="data:")
_HAS_NO_STORED_IMAGE = Q(image="") | _HAS_EXTERNAL_IMAGE


def thumbnail_name(picture: str, dress: str, checksum: str) -> str:
    """See Note [A thumbnail's name says what it was made from]."""
    return f"{STORAGE_FOLDER}{picture[:2]}/{picture}-{dress}-{checksum[:16]}.webp"


def is_external_url(image: str) -> bool:
    """Whether it is an address in the web, from where nothing is fetched: there is no thumbnail to make."""
    return "://" in image or image.lower().startswith(("//", "data:"))


def stale_cards() -> QuerySet[Card]:
    """Cards whose thumbnail is not, or no longer, that of their picture and rarity.

    A card without a picture in the storage is stale while it has one that was made here.

    Each has ``picture_`` and ``dress_``, the digests of which its name is to be made, and ``look_``, what its
    rule says; the last two are None where its rarity has no rule.
    """
    dresses = PresentationRule.objects.values_list(Concat("rarity", Value(" "), _style_digest()))
    fresh = Q(made_of=F("picture_"), dressed__in=dresses)
    framed = Card.objects.alias(
        made_of=Substr("thumbnail", _PICTURE_DIGEST_START, _PICTURE_DIGEST_LENGTH),
        dressed=Concat("rarity", Value(" "), Substr("thumbnail", _STYLE_DIGEST_START, _STYLE_DIGEST_LENGTH)),
    ).annotate(
        picture_=_picture_digest(),
        look_=_rule_subquery(_style_text()),
        dress_=_rule_subquery(_style_digest()),
    )
    left_over = Q(thumbnail__regex=_THUMBNAIL_NAME_REGEX)
    return framed.filter((~_HAS_NO_STORED_IMAGE & ~fresh) | (_HAS_NO_STORED_IMAGE & left_over))


def request_stale_rendering(performed_by: str, *keys: Any) -> None:
    """Let the workers render what a change that is no run has made stale; in its transaction.

    With ``keys``, of cards that were saved one by one, nobody looks through all the others.
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


def _rule_subquery(told: Expression) -> Subquery:
    rule = PresentationRule.objects.filter(rarity=OuterRef("rarity")).order_by()
    return Subquery(rule.values_list(told), output_field=TextField())
