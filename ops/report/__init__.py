"""What an operator sees: words, lines, a bar, or JSON. Nothing in here decides anything."""
