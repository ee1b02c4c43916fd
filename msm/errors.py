"""The base of expected failures."""


class MsmError(Exception):
    """Base of every expected failure.

    The message is one sentence that names the object and the remedy; the command prints it without
    a traceback and exits with status 1.
    """
