"""Rotations, cameras, crops, similarities and the 68 landmarks: arrays in, arrays out."""
