"""Pages that refresh while work is in progress, and what they say of runs."""
