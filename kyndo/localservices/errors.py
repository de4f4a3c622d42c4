"""The error of local services."""


class LocalServiceError(Exception):
    """A local server could not be started, stopped or found; the message says why and what to type."""
