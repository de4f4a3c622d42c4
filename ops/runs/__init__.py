"""The life of a run: created, moved from state to state, previewed, followed, logged."""
