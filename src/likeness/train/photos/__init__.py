"""The network that reads photographs: samples, loop, validation, export."""
