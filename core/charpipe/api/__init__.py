"""The Python API, one module per function. `import charpipe` exports all of it."""
