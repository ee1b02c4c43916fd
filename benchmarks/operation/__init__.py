"""How msm runs over weeks."""
