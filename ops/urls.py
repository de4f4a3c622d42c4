from django.urls import path

from ops.http import views

urlpatterns = [
    path("api/admin/queue/stats", views.queue_stats, name="queue_stats"),
    path("metrics", views.metrics, name="metrics"),
]
