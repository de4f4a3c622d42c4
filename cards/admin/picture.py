"""Small pictures from the storage."""

from __future__ import annotations

from django.core.files.storage import default_storage
from django.utils.html import format_html
from django.utils.safestring import SafeString

from cards.thumbnails.stale import is_external_url


def format_picture(name: str, title: str, size: str) -> SafeString:
    """Show a stored picture; an empty box for none, and for images on other sites."""
    if not name or is_external_url(name):
        return format_html(
            '<span class="cards-picture {} cards-none" role="img" aria-label="{}, without a picture"></span>',
            size,
            title,
        )
    return format_html(
        '<img class="cards-picture {}" src="{}" alt="{}" loading="lazy">',
        size,
        default_storage.url(name),
        title,
    )


def format_tile_picture(name: str) -> SafeString:
    """Show a stored picture in a tile; a placeholder that says why there is none."""
    if name and not is_external_url(name):
        return format_html(
            '<img class="cards-tile-picture" src="{}" alt="" loading="lazy">', default_storage.url(name)
        )
    reason = "On another site" if name else "No picture"
    return format_html('<span class="cards-tile-picture cards-tile-none">{}</span>', reason)
