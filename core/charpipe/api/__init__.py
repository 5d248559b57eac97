"""The Python API, one module a verb. `import charpipe` offers all of it."""
