"""How fast the engine is, beside one bare statement and what people write today, and what players feel of it.

``python -m bench.engine --help``. Every measurement begins on a fresh copy of the same database.
"""
