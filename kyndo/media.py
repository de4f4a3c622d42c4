"""Pictures from MEDIA_ROOT, for anyone who knows their name, served only with image content types."""

from __future__ import annotations

from pathlib import PurePosixPath

from django.conf import settings
from django.core.exceptions import SuspiciousFileOperation
from django.core.files.storage import FileSystemStorage
from django.http import FileResponse, HttpRequest, HttpResponseBase, HttpResponseNotFound
from django.views.decorators.http import require_safe

# What packs and thumbnails store. HTML or SVG could run scripts on the admin's own origin.
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
    """Serve a file; an empty 404 for other types, temporary files and paths outside MEDIA_ROOT."""
    path = PurePosixPath(name)
    kind = CONTENT_TYPES.get(path.suffix.lower())
    if kind is None or any(part.startswith(".") for part in path.parts):
        return HttpResponseNotFound()
    try:
        file = FileSystemStorage(settings.MEDIA_ROOT).open(name)
    except (OSError, ValueError, SuspiciousFileOperation):
        return HttpResponseNotFound()
    return FileResponse(file, content_type=kind, headers=_HEADERS)
