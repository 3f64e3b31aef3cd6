"""Fidelity of reconstructions, measured on portraits, rendered people, real scans and clips."""
