"""What the engine asks of the database's health, and how a sick answer holds a run. See docs/health.md."""
