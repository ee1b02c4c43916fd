"""Training data: in-situ stations and satellite cells."""
