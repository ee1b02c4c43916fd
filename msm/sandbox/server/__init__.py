"""The server of the sandbox."""
