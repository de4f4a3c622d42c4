"""The checklist before a migration: each line a function that looks, and says green, yellow or red."""
