"""Backups of the database: create a dump with a manifest, verify it, and restore it."""
