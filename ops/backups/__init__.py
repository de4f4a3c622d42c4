"""Backups: a dump of the database with a record of what it holds, tried out, and put in its place again."""
