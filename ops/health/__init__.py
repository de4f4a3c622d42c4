"""Health indicators of the database, and the hold of a run while one is unhealthy. See docs/health.md."""
