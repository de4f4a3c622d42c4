"""Plan the migrations of a column change: what they hold, and what is in the way."""
