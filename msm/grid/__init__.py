"""The EASE-2 grids, domains on them, and regridding onto their cells."""
