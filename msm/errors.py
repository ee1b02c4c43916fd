"""The failures that msm expects and explains."""


class MsmError(Exception):
    """Base of every expected failure.

    The message is one sentence that names the thing and the remedy; the command line prints it
    without a traceback and exits with status 1.
    """
