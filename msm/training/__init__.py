"""Training data, the fit that makes a checkpoint, and the figures that judge it."""
