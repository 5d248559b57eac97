"""What charpipe itself provides by the hooks that plugins use."""
