"""The speed of the engine, compared with one SQL statement and with usual Django code; its effect on players.

``python -m bench.engine --help``. Each measurement uses a fresh copy of the same database.
"""
