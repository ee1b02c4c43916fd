"""Granules in the layouts of their providers."""
