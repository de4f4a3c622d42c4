"""The workers: what RQ's lack, and what they look after at each beat."""
