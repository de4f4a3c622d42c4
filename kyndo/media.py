"""Pictures from MEDIA_ROOT, for whoever has their name, and never as anything that a browser runs."""

from __future__ import annotations

from pathlib import PurePosixPath

from django.conf import settings
from django.core.exceptions import SuspiciousFileOperation
from django.core.files.storage import FileSystemStorage
from django.http import FileResponse, HttpRequest, HttpResponseBase, HttpResponseNotFound
from django.views.decorators.http import require_safe

# What packs and thumbnails store. HTML or SVG could bring scripts into the site of the admin.
CONTENT_TYPES = {
    ".avif": "image/avif",
    ".gif": "image/gif",
    ".jpeg": "image/jpeg",
    ".jpg": "image/jpeg",
    ".png": "image/png",
    ".webp": "image/webp",
}
_HEADERS = {
    "Cache-Control": "public, max-age=86400",
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "X-Content-Type-Options": "nosniff",
}


@require_safe
def serve_picture(request: HttpRequest, name: str) -> HttpResponseBase:
    """The file of that name; 404, without a page, for no picture, a half written one or one outside."""
    path = PurePosixPath(name)
    kind = CONTENT_TYPES.get(path.suffix.lower())
    if kind is None or any(part.startswith(".") for part in path.parts):
        return HttpResponseNotFound()
    try:
        file = FileSystemStorage(settings.MEDIA_ROOT).open(name)
    except (OSError, ValueError, SuspiciousFileOperation):
        return HttpResponseNotFound()
    return FileResponse(file, content_type=kind, headers=_HEADERS)
