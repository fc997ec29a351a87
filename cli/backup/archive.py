"""The file of a backup: a tar that is written and read in one go, so that it may also come and go by a pipe.

`manifest.json` first, then the dump in parts (`database.dump.000001` and so on), then `end.json` with the dump's size
and digest: what lacks its end is half a backup, and none. Without Upline, `tar xOf FILE --wildcards 'database.dump.*'`
is a dump for `pg_restore`.
"""

import hashlib
import io
import json
import tarfile
import time
from collections.abc import Callable, Iterator
from typing import IO, Any

from cli.errors import CommandFailed

FORMAT = 1
MANIFEST, END, PART = "manifest.json", "end.json", "database.dump."
PART_BYTES = 8 * 1024 * 1024
"""A tar states the size of what follows, which nobody knows of a dump that is being made: so it comes in parts."""

CountBytes = Callable[[int], None]
"""A function that is told how many bytes of the dump were written or read so far."""


def write_archive(
    out: IO[bytes], manifest: dict[str, Any], dump: IO[bytes], succeeded: Callable[[], bool], count_bytes: CountBytes
) -> None:
    """Writes a backup. It gets its end only if whatever made the dump says, when it was read, that it succeeded."""
    with tarfile.open(fileobj=out, mode="w|", format=tarfile.GNU_FORMAT) as tar:
        _add(tar, MANIFEST, json.dumps({"upline_backup": FORMAT} | manifest, indent=1, ensure_ascii=False).encode())
        digest, size, number = hashlib.sha256(), 0, 0
        while part := dump.read(PART_BYTES):
            number += 1
            _add(tar, f"{PART}{number:06}", part)
            digest.update(part)
            size += len(part)
            count_bytes(size)
        if succeeded():
            _add(tar, END, json.dumps({"bytes": size, "sha256": digest.hexdigest()}).encode())


class Archive:
    """A backup that is read. Raises CommandFailed where it is not one, or not all of one."""

    def __init__(self, stream: IO[bytes], name: str) -> None:
        self._name = name
        try:
            self._tar = tarfile.open(fileobj=stream, mode="r|")  # noqa: SIM115 - read by the methods below
            first = self._tar.next()
            self.manifest: dict[str, Any] = self._json(first) if first and first.name == MANIFEST else {}
        except (tarfile.TarError, ValueError) as error:
            raise CommandFailed(f"{name} is not a backup of `upline backup`") from error
        if self.manifest.get("upline_backup") != FORMAT:
            raise CommandFailed(f"{name} is not a backup that this version of `upline` knows")

    def dump(self) -> Iterator[bytes]:
        """The dump in parts; raises at the end if it is not all there."""
        digest, size = hashlib.sha256(), 0
        try:
            while member := self._tar.next():
                if member.name == END:
                    if self._json(member) != {"bytes": size, "sha256": digest.hexdigest()}:
                        raise CommandFailed(f"{self._name} is damaged: its content is not what was written")
                    return
                part = self._content(member)
                digest.update(part)
                size += len(part)
                yield part
        except (tarfile.TarError, ValueError) as error:
            raise CommandFailed(f"{self._name} is damaged: {error}") from error
        raise CommandFailed(f"{self._name} is incomplete: its end is missing")

    def _json(self, member: tarfile.TarInfo) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self._content(member))
        return found

    def _content(self, member: tarfile.TarInfo) -> bytes:
        content = self._tar.extractfile(member)
        if content is None:
            raise tarfile.ReadError(f"{member.name} is not a file")
        return content.read()


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mtime, member.mode = len(content), int(time.time()), 0o600
    tar.addfile(member, io.BytesIO(content))
