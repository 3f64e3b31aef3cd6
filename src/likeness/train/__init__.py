"""Training: mixed data, the networks, their losses and loops, and the export to ONNX. Only here torch is imported.

Settings, recipes and schedule need no torch: the command line shows them where it is not installed.
"""
