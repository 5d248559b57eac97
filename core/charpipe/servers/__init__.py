"""Local servers that start on demand, listen on loopback only, and stop when idle."""
