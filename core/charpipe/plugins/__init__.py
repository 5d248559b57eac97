"""The plugin system: hooks, discovery, registry, and charpipe's own plugins."""
