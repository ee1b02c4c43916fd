"""Accuracy where a network has not learned."""
