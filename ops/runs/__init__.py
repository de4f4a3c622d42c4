"""Runs: preview, creation, states, follow-ups, conflicts, progress."""
