"""The tables of pipelines.toml as typed models, one module each. Importing them imports nothing heavy."""
