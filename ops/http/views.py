"""The views of the operators' endpoints."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, JsonResponse
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from ops.http.admin_key import require_admin_key
from ops.http.metrics import RunsAndQueuesCollector
from ops.stats import queues as stats


@require_admin_key
def queue_stats(request: HttpRequest) -> HttpResponse:
    """Queues and active runs; 503 with the remaining figures where Redis or the database is unavailable."""
    system = stats.read_stats()
    return JsonResponse(stats.as_json(system), status=503 if system.errors else 200)


@require_admin_key
def metrics(request: HttpRequest) -> HttpResponse:
    """Metrics for Prometheus, read at each scrape: all processes of the site give the same answer."""
    registry = CollectorRegistry()
    registry.register(RunsAndQueuesCollector())
    encode, content_type = choose_encoder(request.headers.get("Accept", ""))
    return HttpResponse(encode(registry), content_type=content_type)
