"""From granules to fields on the cells of a domain."""
