"""Photographs of a person in, a 3D head that people recognise out."""

__version__ = "0.1.0"
