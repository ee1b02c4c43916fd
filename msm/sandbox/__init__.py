"""A simulated Earthdata on loopback: weather, granules in the providers' layouts, a server."""
