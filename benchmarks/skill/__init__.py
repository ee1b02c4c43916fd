"""How accurate msm is."""
