"""The forms of rows: every change is audited, and none is lost."""
