"""The face detector: its pictures, network and loop."""
