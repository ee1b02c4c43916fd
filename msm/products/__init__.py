"""Input products: their layouts, and how a granule is read and placed on its grid."""
