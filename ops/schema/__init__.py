"""The database's schema: introspection, drift from the migrations, and hints for missing tables."""
