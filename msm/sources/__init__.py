"""Where granules come from: Earthdata or a mirror, and which of them a day takes."""
