"""What a granule is: layouts, reading, placement on its grid."""
