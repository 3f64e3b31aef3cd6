"""Photographs -> heads: faces are found, coefficients estimated, results written."""
