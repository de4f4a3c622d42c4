"""The audit log and the history of a row."""
