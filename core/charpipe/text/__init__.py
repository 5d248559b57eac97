"""Text: vocabularies, splits, and the token files that training reads."""
