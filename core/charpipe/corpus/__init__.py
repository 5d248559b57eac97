"""Corpora: from a path, an archive, a package or a URL to documents in Parquet, with memory that stays flat."""
