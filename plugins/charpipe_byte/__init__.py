"""byte."""
