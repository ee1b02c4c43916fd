"""Sources of granules, Earthdata or a local mirror, and the choice among them."""
