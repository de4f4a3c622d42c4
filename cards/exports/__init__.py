"""Export of the catalogue to a folder of files, and its import."""
