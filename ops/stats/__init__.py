"""How the database does: its dearest statements, its sizes, what runs now and who waits for whom."""
