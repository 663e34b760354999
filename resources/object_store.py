"""Objects of one bucket below a prefix (Google Cloud Storage): whole or not there, replaced by compare-and-swap.

Belongs here: reading, writing, listing and deleting objects, repeated within bounds, and what the service's errors
mean. Does not belong here: what the objects are (gcs_lake, gcs_stores).

An object appears with its last byte, so nothing half-written is ever seen. A write that is repeated because its answer
was lost would be refused by its own precondition; each write therefore carries a token, by which it knows itself.
"""

from __future__ import annotations

import os
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlops_assets.domain.errors import StorageError

if TYPE_CHECKING:
    import datetime as dt
    from pathlib import Path

    from google.cloud.storage import Blob, Bucket, Client

# How many callers should ask at the same time: the client keeps ten connections.
QUESTIONS_AT_ONCE = 8
ABSENT = 0  # the generation of what is not there
_TOKEN = "mlops-write"  # noqa: S105 - the name of an object's metadata
_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.5, 8.0
_CONNECT_S = 10.0


@dataclass(frozen=True)
class StoredObject:
    """An object as it is listed; `generation` is another one for each content."""

    name: str
    size_bytes: int
    generation: int
    updated_at_utc: dt.datetime


class ObjectChangedError(StorageError):
    """Somebody else has written the object since its generation was read; read again and decide anew."""


class ObjectStore:
    """The objects of a bucket below a prefix; safe for any number of threads and processes.

    Args:
        bucket: its name; it must exist.
        prefix: of the objects' names, without slashes at its ends.
        patience_s: how long a call is repeated while the service answers 429 or 5xx, or not at all, seconds.
        answer_s: how long to wait for each answer, seconds.
    """

    def __init__(self, bucket: str, prefix: str, *, patience_s: float = 60.0, answer_s: float = 60.0) -> None:
        self.bucket_name, self.prefix = bucket, prefix
        self.patience_s, self.answer_s = patience_s, answer_s
        self._is_known = False

    def where(self, name: str = "") -> str:
        """Return the address of an object, for messages and links."""
        return f"gs://{self.bucket_name}/{self._key(name)}"

    def find(self, name: str) -> StoredObject | None:
        """Return what is known of an object, or None. Raises StorageError."""
        with self._explained(name):
            blob = self._bucket().get_blob(self._key(name), **self._patience())
            return None if blob is None else self._stored(blob)

    def read(self, name: str, *, most_bytes: int = -1) -> bytes | None:
        """Return an object's content or the first bytes of it; None if it is not there. Raises StorageError."""
        from google.api_core.exceptions import NotFound, RequestRangeNotSatisfiable

        if most_bytes == 0:
            return b""
        with self._explained(name):
            blob = self._bucket().blob(self._key(name))
            try:
                end = most_bytes - 1 if most_bytes > 0 else None
                return bytes(blob.download_as_bytes(end=end, **self._patience()))
            except NotFound:
                return None
            except RequestRangeNotSatisfiable:  # it is empty
                return b""

    def read_versioned(self, name: str) -> tuple[bytes, int]:
        """Return an object's content and its generation; nothing and ABSENT if it is not there.

        Raises:
            StorageError: the service cannot be reached, or the object was replaced while it was read.
        """
        found = self.find(name)
        if found is None:
            return b"", ABSENT
        from google.api_core.exceptions import NotFound

        with self._explained(name):
            blob = self._bucket().blob(self._key(name), generation=found.generation)
            try:
                return bytes(blob.download_as_bytes(**self._patience())), found.generation
            except NotFound as error:
                raise self._changed(name) from error

    def write(self, name: str, content: bytes, *, expected: int | None = None) -> int:
        """Write an object and return its generation.

        Args:
            name: below the prefix.
            content: all of it.
            expected: only if the object is of this generation now (ABSENT: only if there is none).

        Raises:
            ObjectChangedError: it is of another generation.
            StorageError: the service cannot be reached; the object is as it was, or is written nevertheless.
        """
        return self._put(name, expected, lambda blob, how: blob.upload_from_string(content, **how))

    def upload(self, name: str, source: Path) -> int:
        """Write a new object from a file and return its generation; one that is there is not replaced.

        Raises:
            ObjectChangedError: there is one already.
            StorageError: as `write`.
        """
        return self._put(
            name, ABSENT, lambda blob, how: blob.upload_from_filename(str(source), checksum="auto", **how)
        )

    def download(self, name: str, target: Path) -> None:
        """Write an object's content into a file; its checksum is verified.

        Raises:
            StorageError: it is not there, came damaged, or the service cannot be reached.
        """
        from google.api_core.exceptions import NotFound

        with self._explained(name):
            blob = self._bucket().blob(self._key(name))
            try:
                blob.download_to_filename(str(target), checksum="auto", **self._patience())
            except NotFound as error:
                raise StorageError(
                    "an object is gone",
                    where=self.where(name),
                    expected="what was published",
                    remedy="restore it from an older version of the bucket, or build it again",
                    is_retryable=False,
                ) from error

    def list(self, folder: str = "") -> list[StoredObject]:
        """Return the objects below a folder in the order of their names. Raises StorageError."""
        prefix = f"{self._key(folder)}/".lstrip("/")
        with self._explained(folder):
            return [
                self._stored(blob) for blob in self._bucket().list_blobs(prefix=prefix, **self._patience())
            ]

    def delete(self, name: str) -> None:
        """Delete an object; one that is not there is none. Raises StorageError."""
        from google.api_core.exceptions import NotFound

        with self._explained(name):
            bucket = self._bucket()
            try:
                bucket.delete_blob(self._key(name), **self._patience())
            except NotFound:
                return

    def _put(self, name: str, expected: int | None, send: Any) -> int:
        from google.api_core.exceptions import PreconditionFailed

        token = secrets.token_hex(8)
        with self._explained(name):
            blob = self._bucket().blob(self._key(name))
            blob.metadata = {_TOKEN: token}
            how = {**self._patience(), "content_type": "application/octet-stream"}
            if expected is not None:
                how["if_generation_match"] = expected
            try:
                send(blob, how)
            except PreconditionFailed as error:
                return self._own_generation(name, token, error)
            return int(blob.generation)

    def _own_generation(self, name: str, token: str, error: Exception) -> int:
        """Return the generation of a write that was kept although its answer was lost."""
        blob = self._bucket().get_blob(self._key(name), **self._patience())
        if blob is None or (blob.metadata or {}).get(_TOKEN) != token:
            raise self._changed(name) from error
        return int(blob.generation)

    def _changed(self, name: str) -> ObjectChangedError:
        return ObjectChangedError(
            "an object was changed by somebody else meanwhile",
            where=self.where(name),
            expected="the generation that was read before",
            remedy="read it again and decide anew; nothing was written",
        )

    def _stored(self, blob: Blob) -> StoredObject:
        name = blob.name.removeprefix(f"{self.prefix}/") if self.prefix else blob.name
        return StoredObject(name, int(blob.size), int(blob.generation), blob.updated)

    def _key(self, name: str) -> str:
        return "/".join(part for part in (self.prefix, name) if part)

    def _patience(self) -> dict[str, Any]:
        from google.cloud.storage.retry import DEFAULT_RETRY

        retry = DEFAULT_RETRY.with_delay(_FIRST_WAIT_S, _LONGEST_WAIT_S, 2.0).with_timeout(self.patience_s)
        return {"retry": retry, "timeout": (_CONNECT_S, self.answer_s)}

    def _bucket(self) -> Bucket:
        """Return the bucket; that it exists is looked up once, since an absent one would pass for an empty one."""
        client = open_client()
        if not self._is_known:
            list(client.list_blobs(self.bucket_name, prefix=self._key(""), max_results=1, **self._patience()))
            self._is_known = True
        return client.bucket(self.bucket_name)

    @contextmanager
    def _explained(self, name: str) -> Iterator[None]:
        """Turn the service's errors into a StorageError that says whether a repetition may help."""
        from google.api_core import exceptions
        from google.auth.exceptions import GoogleAuthError
        from google.cloud.storage.exceptions import DataCorruption, InvalidResponse
        from requests import RequestException

        try:
            yield
        except (exceptions.Forbidden, exceptions.Unauthorized, GoogleAuthError) as error:
            remedy = "check the service account of this process and its grants on the bucket"
            raise self._error("is not open to us", name, error, remedy, is_retryable=False) from error
        except exceptions.NotFound as error:
            remedy = "create the bucket or correct its name in the environment's file"
            raise self._error("has no such bucket", name, error, remedy, is_retryable=False) from error
        except (
            exceptions.GoogleAPIError, RequestException, InvalidResponse, DataCorruption, ConnectionError
        ) as error:  # fmt: skip
            remedy = "run again; readers see what was there before, or the whole new object"
            raise self._error("does not answer as it should", name, error, remedy) from error

    def _error(
        self, fact: str, name: str, error: Exception, remedy: str, *, is_retryable: bool = True
    ) -> StorageError:
        cause = getattr(error, "cause", None) or error
        said = (str(cause).splitlines() or [type(cause).__name__])[0][:300]
        return StorageError(
            f"the object store {fact} ({said})",
            where=self.where(name),
            expected="an answer of Google Cloud Storage",
            remedy=remedy,
            is_retryable=is_retryable,
        )


_clients: dict[int, Client] = {}
_guard = threading.Lock()


def open_client() -> Client:
    """Return the client of this process: its connections do not survive a fork."""
    with _guard:
        if os.getpid() not in _clients:
            from google.cloud.storage import Client

            _clients.clear()
            _clients[os.getpid()] = Client()
        return _clients[os.getpid()]


def close_client() -> None:
    """Close the connections of this process; the next call opens new ones."""
    with _guard:
        client = _clients.pop(os.getpid(), None)
        if client is not None:
            client.close()
