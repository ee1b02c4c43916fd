"""Training data, the fits of a checkpoint, and its evaluation."""
