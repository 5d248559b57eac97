"""Models stepped a character at a time: one stream or many, by numpy, compiled loops, eight bits or CUDA graphs.
Training's own engine is next door, in `charpipe.models.engine`."""
