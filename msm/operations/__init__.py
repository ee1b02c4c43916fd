"""What runs the pipeline and looks after it."""
