"""Uploads: files whose rows are staged as a change set. The project says how a file is read."""
