"""Change sets: cells that a person edits, staged in the database until one run applies them."""
