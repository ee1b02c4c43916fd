"""The EASE-2 grids, the domains cut out of them, and regridding onto their cells."""
