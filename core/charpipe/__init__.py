"""charpipe."""
