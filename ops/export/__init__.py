"""Exports: tables written from one snapshot into a folder of files. The project chooses the tables."""
