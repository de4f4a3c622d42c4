class LocalServiceError(Exception):
    """A local server could not do what was asked; the message says why and what to type."""
