"""A project: the folder with `pipelines.toml` and `plugins/`; making one, and editing its file."""
