"""Editing many rows as in a spreadsheet, and the pages of change sets."""
