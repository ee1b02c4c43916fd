"""Accuracy at places and times that were not used for training."""
