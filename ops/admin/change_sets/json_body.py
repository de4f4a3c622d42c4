"""A JSON document that a script of a page posts, and answers to it in words."""

from __future__ import annotations

import json
from typing import Any

from django.core.exceptions import BadRequest
from django.http import HttpRequest, JsonResponse
from django.template.defaultfilters import filesizeformat

# 5,000 cells with what was seen in each; Django's own limit is for forms.
MAX_BODY_BYTES = 5 * 1024 * 1024


class BodyTooLarge(Exception):
    """The posted document has over MAX_BODY_BYTES; the text says so to who sent it."""

    def __init__(self) -> None:
        limit = filesizeformat(MAX_BODY_BYTES)
        super().__init__(f"These are too many changes at once: over {limit}. Send them in two parts.")


def read_json_body(request: HttpRequest) -> Any:
    """Raises BadRequest if the body is no JSON, and BodyTooLarge."""
    if request.content_type != "application/json":
        raise BadRequest("this address takes JSON")
    body = request.read(MAX_BODY_BYTES + 1)
    if len(body) > MAX_BODY_BYTES:
        raise BodyTooLarge
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as exc:
        raise BadRequest("the posted document is not JSON") from exc


def answer(status: int, message: str, **more: Any) -> JsonResponse:
    return JsonResponse({"message": message, **more}, status=status)
