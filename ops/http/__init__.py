"""Endpoints for monitoring: health, metrics, queues; and the pages of database errors."""
