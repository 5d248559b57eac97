"""What is already done: objects that stages made, actions that made them, and the locks between."""

from charpipe.store.actions import Action
from charpipe.store.digest import digest_of_file, digest_of_json, digest_of_package
from charpipe.store.manifest import Manifest
from charpipe.store.store import Built, Store

__all__ = ["Action", "Built", "Manifest", "Store", "digest_of_file", "digest_of_json", "digest_of_package"]
