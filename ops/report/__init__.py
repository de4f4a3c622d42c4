"""The output of commands: text, progress bars and JSON. Makes no decisions."""
