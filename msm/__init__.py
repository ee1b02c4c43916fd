"""Daily soil-moisture maps at 9 km from satellite, weather and a network that learned from both."""

__version__ = "0.1.0"

PROCESSING_VERSION = "2"
"""Raised whenever the same inputs would give other values: it is part of every fingerprint."""
