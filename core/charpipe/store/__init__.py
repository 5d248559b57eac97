"""Content-addressed cache of stage results: objects, the actions that made them, and locks."""

from charpipe.store.actions import Action
from charpipe.store.digest import digest_of_file, digest_of_json, digest_of_package
from charpipe.store.manifest import Manifest
from charpipe.store.store import Built, Store

__all__ = ["Action", "Built", "Manifest", "Store", "digest_of_file", "digest_of_json", "digest_of_package"]
