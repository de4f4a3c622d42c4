"""From a list to a new run: the operation's form, its preview, the start."""
