"""The upload of a file, and its rows compared with the stored ones."""
