"""Fields on the cells of a domain, computed from granules."""
