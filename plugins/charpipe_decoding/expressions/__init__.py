"""Regular expressions over a vocabulary: which tokens may follow, so that the whole text matches."""
