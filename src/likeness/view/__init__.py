"""Heads as pages: one HTML file, or a cell of a notebook, that shows them and needs nothing outside itself."""
