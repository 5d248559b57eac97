"""Local servers that start on demand, listen on loopback only, and stop by themselves when idle."""
