"""What training minimises, and the learned bases it may change."""
