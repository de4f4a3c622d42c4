"""PostgreSQL and Valkey from wheels, for development and tests: nothing to install by hand, no fixed port.

``LocalPostgres(root)`` and ``LocalValkey(root)`` are one server each, with all their files under ``root``;
``LocalServices(root)`` is the pair of ``manage.py localservices``. There are no pid files: the processes of a
server are found by a marker in their command lines, made of its path and of a token stored beside its data.
So ``kill -9`` leaves nothing stale, and containers that share process ids and paths are not confused.
"""
