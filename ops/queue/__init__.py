"""Runs on the queue: the database is the truth, the queue only the bell."""
