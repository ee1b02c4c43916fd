"""How fast msm is."""
