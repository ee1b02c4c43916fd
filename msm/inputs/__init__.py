"""What msm reads: the input products, their layouts, and the way to them."""
