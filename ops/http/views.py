from __future__ import annotations

from django.http import HttpRequest, HttpResponse, JsonResponse
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from ops.http.admin_key import require_admin_key
from ops.http.metrics import RunsAndQueuesCollector
from ops.stats import queues as stats


@require_admin_key
def queue_stats(request: HttpRequest) -> HttpResponse:
    """What waits and what runs; 503 with what is still known where Redis or the database is away."""
    told = stats.read_stats()
    return JsonResponse(stats.as_json(told), status=503 if told.errors else 200)


@require_admin_key
def metrics(request: HttpRequest) -> HttpResponse:
    """For Prometheus: read as it asks, so that it does not matter which of the site's processes answers."""
    registry = CollectorRegistry()
    registry.register(RunsAndQueuesCollector())
    encode, content_type = choose_encoder(request.headers.get("Accept", ""))
    return HttpResponse(encode(registry), content_type=content_type)
