"""Who still uses the old column of a change: sessions, statements and code."""
