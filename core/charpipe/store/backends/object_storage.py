"""The backends `s3://`, `gs://` and `az://`: object storage through obstore. Credentials come from the environment."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from charpipe.errors import StoreAccessError, StoreError, UsageError
from charpipe.store.backends.backend import Entry, Stored, check_key
from charpipe.store.backends.download import local_file
from charpipe.store.backends.refusals import cannot_open, explain
from charpipe.store.secrets import find_secret, without_secret

if TYPE_CHECKING:
    from obstore.store import AzureStore, ClientConfig, GCSStore, RetryConfig, S3Config, S3Store

    ObjectStore = S3Store | GCSStore | AzureStore

RANGE = 8 << 20
"""Bytes of one request of a download: small enough for a slow line to carry within the timeout."""
RANGES = 4
"""Requests of a download at a time."""


def open_object_storage(url: str, endpoint: str | None = None) -> ObjectStorage:
    """The backend of `s3://bucket/prefix`, `gs://bucket/prefix` or `az://container/prefix`; `endpoint` is the URL of an
    S3 server that is not Amazon's. Raises UsageError if the URL is none of these, or obstore is not installed."""
    parts = urlsplit(url)
    if not parts.netloc or parts.query or parts.fragment:
        raise UsageError(f"{url!r} is not the URL of a bucket; write {parts.scheme}://BUCKET/FOLDER")
    if endpoint is not None:
        _check_endpoint(parts.scheme, endpoint)
    try:
        from obstore.store import AzureStore, GCSStore, S3Store
    except ImportError as error:
        raise UsageError(f"{url} needs the package obstore; type: pip install 'charpipe[cluster]'") from error
    retry: RetryConfig = {"max_retries": 3, "retry_timeout": timedelta(seconds=20)}
    client: ClientConfig = {"connect_timeout": "5s", "timeout": "60s"}
    place = f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}"
    store: ObjectStore
    try:
        if parts.scheme == "s3":
            if endpoint is not None and endpoint.startswith("http://"):
                client["allow_http"] = True
            config: S3Config = {} if endpoint is None else {"endpoint": endpoint}
            store = S3Store.from_url(place, config=config, retry_config=retry, client_options=client)
        elif parts.scheme == "gs":
            store = GCSStore.from_url(place, retry_config=retry, client_options=client)
        else:
            store = AzureStore.from_url(place, retry_config=retry, client_options=client)
    except Exception as error:
        raise cannot_open(url, error) from None
    return ObjectStorage(store, url, parts.netloc)


def _check_endpoint(scheme: str, endpoint: str) -> None:
    if scheme != "s3":
        raise UsageError(f"store.endpoint is for S3; {scheme}:// has none")
    if find_secret(endpoint) is not None:
        raise UsageError(f"store.endpoint holds a secret ({without_secret(endpoint)})")
    parts = urlsplit(endpoint)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise UsageError(
            f"store.endpoint is {endpoint!r}; write the server's URL, such as https://storage.example"
        )


class ObjectStorage:
    """A bucket, or a folder of it, as a storage backend; see `charpipe.store.backends.Backend`."""

    def __init__(self, store: ObjectStore, url: str, bucket: str) -> None:
        import obstore

        self._api, self._store, self.url, self._bucket = obstore, store, url, bucket

    def read(self, key: str) -> Stored | None:
        with self._errors():
            try:
                found = self._api.get(self._store, check_key(key))
            except FileNotFoundError as error:
                self._check_bucket(error)
                return None
            return Stored(bytes(found.bytes()), _version(found.meta), found.meta["last_modified"])

    def create(self, key: str, data: bytes) -> str | None:
        from obstore.exceptions import AlreadyExistsError, PreconditionError

        with self._errors():
            try:
                return _version(self._api.put(self._store, check_key(key), data, mode="create"))
            except (AlreadyExistsError, PreconditionError):
                return None

    def replace(self, key: str, data: bytes, version: str) -> str | None:
        from obstore.exceptions import PreconditionError

        with self._errors():
            try:
                return _version(self._api.put(self._store, check_key(key), data, mode=json.loads(version)))
            except PreconditionError:
                return None
            except FileNotFoundError as error:
                self._check_bucket(error)
                return None

    def upload(self, key: str, path: Path) -> None:
        with self._errors():
            self._api.put(self._store, check_key(key), path, max_concurrency=RANGES)

    def download(self, key: str, path: Path) -> None:
        with self._errors():
            try:
                size = self._api.head(self._store, check_key(key))["size"]
                with local_file(path) as file:
                    for start in range(0, size, RANGE * RANGES):
                        starts = range(start, min(start + RANGE * RANGES, size), RANGE)
                        ends = [min(one + RANGE, size) for one in starts]
                        for part in self._api.get_ranges(
                            self._store, key, starts=list(starts), ends=ends, coalesce=0
                        ):
                            file.write(memoryview(part))
            except FileNotFoundError as error:
                self._check_bucket(error)
                raise StoreError(f"{self.url} holds no {key}") from None

    def list(self, prefix: str) -> Iterator[Entry]:
        with self._errors():
            for chunk in self._api.list(self._store, prefix.rstrip("/") or None):
                for one in sorted(chunk, key=lambda found: found["path"]):
                    yield Entry(one["path"], one["size"], one["last_modified"])

    def delete(self, keys: Iterable[str]) -> None:
        with self._errors():
            for key in keys:
                try:
                    self._api.delete(self._store, check_key(key))
                except FileNotFoundError as error:
                    self._check_bucket(error)

    def _check_bucket(self, error: Exception) -> None:
        """Raise StoreAccessError if what is not there is not the key, but the bucket."""
        if "NoSuchBucket" in str(error) or "ContainerNotFound" in str(error):
            raise StoreAccessError(
                f"{self.url}: there is no bucket {self._bucket!r}; create it, or correct url in [store]"
            ) from None

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except StoreError:
            raise
        except FileNotFoundError as error:
            self._check_bucket(error)
            raise explain(self.url, error) from None
        except Exception as error:
            raise explain(self.url, error) from None


def _version(meta: Any) -> str:
    return json.dumps(
        {key: meta[key] for key in ("e_tag", "version") if meta[key] is not None}, sort_keys=True
    )
