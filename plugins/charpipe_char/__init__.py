"""char."""
