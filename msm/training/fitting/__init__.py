"""Fitting networks."""
