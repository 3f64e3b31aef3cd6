"""What `likeness evaluate` reports, a file for each of its commands."""
