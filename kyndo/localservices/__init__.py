"""PostgreSQL and Valkey from wheels, for development and tests: nothing to install by hand, no fixed port.

``LocalPostgres(root)`` and ``LocalValkey(root)`` are one server each, with all that is theirs under ``root``;
``LocalServices(root)`` is the pair of ``manage.py localservices``. Nothing here trusts a pid file: a server
is known by a mark in its own command line, made of its path and of a token that stands beside its data, so a
``kill -9`` leaves nothing stale behind, and containers that share process ids and paths are not confused.
"""
