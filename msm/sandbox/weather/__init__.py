"""The weather of the sandbox."""
