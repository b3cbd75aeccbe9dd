# SPDX-License-Identifier: Apache-2.0
"""Docker archives (``docker save``): inspected, then rebuilt for the daemon.

What a tenant uploaded never reaches the daemon as it is. Layers go through bit for bit,
their digests compared with the configuration's; the manifest and the configuration are
written anew. So an archive can't name (and overwrite) another image, declare volumes,
which would evade the disk limit and be missing from snapshots, or carry our marks.
"""

from __future__ import annotations

import bz2
import contextlib
import dataclasses
import gzip
import hashlib
import io
import json
import lzma
import platform
import posixpath
import tarfile
import tempfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import IO, Any, cast

from nova_multi import exception
from nova_multi.virt.docker import mapping
from nova_multi.virt.docker.layers import Tree
from nova_multi.virt.engine import LABEL_IMAGE, ImageFacts, ImageKey

#: Facts found at import, kept as a label of the imported image.
LABEL_FACTS = "nova-multi.facts"

_CHUNK = 1024 * 1024
#: A manifest or configuration is some kilobytes.
_MAX_JSON = 4 * 1024 * 1024
#: overlay2 stacks no more; the guest's own layer and its snapshots need some.
_MAX_LAYERS = 120
#: Some files for each layer: this is about the archive, not about what is in layers.
_MAX_MEMBERS = 10_000
#: What compression may gain at most, beyond a size at which it does not matter.
_MAX_RATIO = 100
_RATIO_FROM = 64 * 1024 * 1024

_DAMAGED = (tarfile.TarError, EOFError, zlib.error, lzma.LZMAError, OSError)

_COMPRESSIONS = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ": lzma.open,
}
_ZSTD = b"\x28\xb5\x2f\xfd"

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "ppc64le": "ppc64le"}

#: Parts of an image's configuration that a guest takes over. Not among them: volumes,
#: health checks, build triggers.
_KEPT = ("User", "Env", "WorkingDir", "ExposedPorts", "StopSignal", "Shell")


@dataclasses.dataclass(frozen=True, slots=True)
class Limits:
    """What an image may be at most.

    :ivar unpacked_bytes: size of all its files.
    :ivar members: number of its files.
    """

    unpacked_bytes: int
    members: int


@dataclasses.dataclass(frozen=True, slots=True)
class _Layer:
    member: tarfile.TarInfo
    diff_id: str

    @property
    def file_name(self) -> str:
        return self.diff_id.removeprefix("sha256:") + ".tar"


class Archive:
    """An opened, inspected Docker archive; made by :func:`opened`."""

    def __init__(self, archive: tarfile.TarFile, limits: Limits) -> None:
        self._archive = archive
        self._limits = limits
        self._members: dict[str, tarfile.TarInfo] = {}
        for member in archive:
            self._members[_plain(member.name)] = member
            if len(self._members) > _MAX_MEMBERS:
                raise exception.ImageRejected("the archive has too many members")
        entry = self._manifest_entry()
        self._config = self._json(_text(entry.get("Config"), "manifest's Config"))
        self._layers = self._find_layers(entry)
        self.facts = self._inspect()

    def _manifest_entry(self) -> dict[str, Any]:
        manifest = self._json("manifest.json", list)
        if len(manifest) != 1 or not isinstance(manifest[0], dict):
            raise exception.ImageRejected(
                f"the archive holds {len(manifest)} images; save exactly one"
            )
        return cast(dict[str, Any], manifest[0])

    def _find_layers(self, entry: Mapping[str, Any]) -> list[_Layer]:
        rootfs = self._config.get("rootfs")
        diff_ids = rootfs.get("diff_ids") if isinstance(rootfs, dict) else None
        names = entry.get("Layers")
        if not isinstance(diff_ids, list) or not isinstance(names, list) or not names:
            raise exception.ImageRejected("the archive names no layers")
        if len(names) != len(diff_ids):
            raise exception.ImageRejected(
                f"the manifest names {len(names)} layers, the configuration"
                f" {len(diff_ids)}"
            )
        if len(names) > _MAX_LAYERS:
            raise exception.ImageRejected(
                f"the image has {len(names)} layers, at most {_MAX_LAYERS} are"
                " possible; flatten it with docker export and docker import"
            )
        return [
            _Layer(
                self._member(_text(name, "name of a layer")),
                _digest(diff_id),
            )
            for name, diff_id in zip(names, diff_ids, strict=True)
        ]

    def _member(self, name: str) -> tarfile.TarInfo:
        """A file of the archive; links within it (old Docker's) are followed."""
        path = _plain(name)
        for _ in range(4):
            member = self._members.get(path)
            if member is None:
                raise exception.ImageRejected(
                    f"this is no docker save archive: it has no {name}"
                )
            if member.isreg():
                return member
            if member.issym():
                path = _plain(posixpath.join(posixpath.dirname(path), member.linkname))
            elif member.islnk():
                path = _plain(member.linkname)
            else:
                break
        raise exception.ImageRejected(f"{name} of the archive is no regular file")

    def _open(self, member: tarfile.TarInfo) -> IO[bytes]:
        found = self._archive.extractfile(member)
        assert found is not None  # it is a regular file
        return found

    def _json(self, name: str, kind: type = dict) -> Any:
        member = self._member(name)
        if member.size > _MAX_JSON:
            raise exception.ImageRejected(f"{name} has {member.size} bytes")
        with self._open(member) as source:
            try:
                content = json.loads(source.read())
            except (ValueError, RecursionError) as error:
                raise exception.ImageRejected(f"{name} is no JSON: {error}") from error
        if not isinstance(content, kind):
            raise exception.ImageRejected(f"{name} is no JSON {kind.__name__}")
        return content

    # -- inspection -----------------------------------------------------------

    def _inspect(self) -> ImageFacts:
        system = (self._config.get("os"), self._config.get("architecture"))
        here = _here()
        if system != here:
            raise exception.ImageRejected(
                f"the image is for {system[0]}/{system[1]}, this host is"
                f" {here[0]}/{here[1]}"
            )
        tree = Tree()
        count = size = 0
        for layer in self._layers:
            with self._open(layer.member) as packed:
                reader = _Unpacked(packed, layer.member.size, self._limits)
                with tarfile.open(
                    fileobj=cast(IO[bytes], reader), mode="r|"
                ) as content:
                    for member in tree.add_layer(content):
                        count += 1
                        size += member.size if member.isreg() else 0
                        forget_members(content)
                        self._check(count, size)
                found = reader.finish()
            if found != layer.diff_id:
                raise exception.ImageRejected(
                    f"layer {layer.member.name} has digest {found}, the configuration"
                    f" says {layer.diff_id}"
                )
        command = self._command()
        return ImageFacts(
            shell=tree.is_file("/bin/sh"),
            cloud_init=(
                mapping.program(command) in ("init", "systemd")
                and tree.is_file("/usr/bin/cloud-init")
                and not tree.is_file("/etc/cloud/cloud-init.disabled")
            ),
            command=command,
            size_bytes=size,
        )

    def _check(self, count: int, size: int) -> None:
        if count > self._limits.members:
            raise exception.ImageRejected(
                f"the image holds more than {self._limits.members} files"
            )
        if size > self._limits.unpacked_bytes:
            raise exception.ImageRejected(
                f"the image is larger than {self._limits.unpacked_bytes} bytes unpacked"
            )

    def _settings(self) -> dict[str, Any]:
        found = self._config.get("config") or {}
        if not isinstance(found, dict):
            raise exception.ImageRejected("the image's configuration is no object")
        return found

    def _command(self) -> tuple[str, ...]:
        settings = self._settings()
        return _words(settings, "Entrypoint") + _words(settings, "Cmd")

    # -- for the daemon -------------------------------------------------------

    def _rebuilt_config(self, key: ImageKey) -> bytes:
        old = self._settings()
        settings = {name: old[name] for name in _KEPT if old.get(name)}
        command = {name: _words(old, name) for name in ("Entrypoint", "Cmd")}
        settings |= {name: list(words) for name, words in command.items() if words}
        labels = old.get("Labels") or {}
        settings["Labels"] = {
            str(name): str(value)
            for name, value in (labels.items() if isinstance(labels, dict) else ())
            if not str(name).startswith(mapping.LABEL_PREFIX)
        }
        settings["Labels"][LABEL_IMAGE] = key.image_id
        settings["Labels"][LABEL_FACTS] = json.dumps(dataclasses.asdict(self.facts))
        config = {
            "architecture": self._config["architecture"],
            "os": self._config["os"],
            "created": self._config.get("created") or "1970-01-01T00:00:00Z",
            "config": settings,
            "rootfs": {"type": "layers", "diff_ids": [x.diff_id for x in self._layers]},
        }
        return json.dumps(config).encode()

    def rebuilt(self, key: ImageKey) -> Iterator[bytes]:
        """The archive as the daemon gets it: one image, named after ``key``."""
        config = self._rebuilt_config(key)
        names = [layer.file_name for layer in self._layers]
        yield from tar_description(config, names, [mapping.image_name(key)])
        written: set[str] = set()
        for layer in self._layers:
            if layer.file_name in written:
                continue
            written.add(layer.file_name)
            yield tar_header(layer.file_name, layer.member.size)
            with self._open(layer.member) as source:
                while chunk := source.read(_CHUNK):
                    yield chunk
            yield tar_padding(layer.member.size)
        yield TAR_END


class _Unpacked:
    """A layer's uncompressed bytes, hashed and limited while they are read."""

    def __init__(self, packed: IO[bytes], packed_size: int, limits: Limits) -> None:
        self._hash = hashlib.sha256()
        self._count = 0
        # Headers and padding come on top of the files' own size.
        self._limit = limits.unpacked_bytes + 2048 * limits.members
        self._source: IO[bytes] = packed
        opener = _compression(packed)
        if opener:
            self._source = cast(IO[bytes], opener(packed))
            self._limit = min(self._limit, max(_RATIO_FROM, packed_size * _MAX_RATIO))

    def read(self, size: int) -> bytes:
        data = self._source.read(size)
        self._hash.update(data)
        self._count += len(data)
        if self._count > self._limit:
            raise exception.ImageRejected(
                f"a layer unpacks to more than {self._limit} bytes"
            )
        return data

    def finish(self) -> str:
        """Read what is left, and return the digest of all."""
        while self.read(_CHUNK):
            pass
        return "sha256:" + self._hash.hexdigest()


def _compression(source: IO[bytes]) -> Any:
    beginning = source.read(8)
    source.seek(0)
    if beginning.startswith(_ZSTD):
        raise exception.ImageRejected(
            "the archive is compressed with zstd; use docker save, or gzip"
        )
    for magic, opener in _COMPRESSIONS.items():
        if beginning.startswith(magic):
            return opener
    return None


def forget_members(archive: tarfile.TarFile) -> None:
    """Free what tarfile remembers of a stream; it would be hundreds of megabytes."""
    cast(Any, archive).members.clear()


def _here() -> tuple[str, str]:
    """Operating system and architecture in Docker's words."""
    return "linux", _ARCHITECTURES.get(platform.machine(), platform.machine())


@contextlib.contextmanager
def opened(path: str, limits: Limits) -> Iterator[Archive]:
    """Open and inspect an archive.

    :raises ImageRejected: damaged, dangerous, too large, or something else.
    """
    with contextlib.ExitStack() as stack:
        source: IO[bytes] = stack.enter_context(open(path, "rb"))
        try:
            if opener := _compression(source):
                source = _decompressed(opener, source, path, limits)
                stack.enter_context(source)
            archive = stack.enter_context(tarfile.open(fileobj=source, mode="r:"))
            inspected = Archive(archive, limits)
        except _DAMAGED as error:
            raise exception.ImageRejected(
                f"this is no whole docker save archive: {error}"
            ) from error
        yield inspected


def _decompressed(
    opener: Any, source: IO[bytes], path: str, limits: Limits
) -> IO[bytes]:
    """The whole archive uncompressed, in a nameless file beside it."""
    packed_size = source.seek(0, 2)
    source.seek(0)
    limit = min(limits.unpacked_bytes, max(_RATIO_FROM, packed_size * _MAX_RATIO))
    target = tempfile.TemporaryFile(  # noqa: SIM115 (the caller closes it)
        dir=posixpath.dirname(path) or "."
    )
    try:
        with opener(source) as unpacked:
            while chunk := unpacked.read(_CHUNK):
                if target.tell() + len(chunk) > limit:
                    raise exception.ImageRejected(
                        f"the archive unpacks to more than {limit} bytes"
                    )
                target.write(chunk)
    except BaseException:
        target.close()
        raise
    target.seek(0)
    return cast(IO[bytes], target)


def facts_of(labels: Mapping[str, str]) -> ImageFacts | None:
    """Facts that were kept at import; None if they can't be read."""
    try:
        found = json.loads(labels[LABEL_FACTS])
        return ImageFacts(
            shell=bool(found["shell"]),
            cloud_init=bool(found["cloud_init"]),
            command=tuple(str(word) for word in found["command"]),
            size_bytes=int(found["size_bytes"]),
        )
    except (KeyError, TypeError, ValueError):
        return None


# -- writing tar as a stream ----------------------------------------------------------

TAR_END = b"\0" * (2 * tarfile.BLOCKSIZE)


def tar_header(name: str, size: int) -> bytes:
    """Header of a regular file, owned by root, without a time."""
    member = tarfile.TarInfo(name)
    member.size = size
    member.mode = 0o644
    return member.tobuf(tarfile.PAX_FORMAT)


def tar_padding(size: int) -> bytes:
    """Fills a member's last block."""
    return b"\0" * (-size % tarfile.BLOCKSIZE)


def tar_member(name: str, content: bytes) -> Iterator[bytes]:
    """A whole regular file."""
    yield tar_header(name, len(content)) + content + tar_padding(len(content))


def tar_description(
    config: bytes, layers: Sequence[str], names: Sequence[str]
) -> Iterator[bytes]:
    """Configuration and manifest of an archive.

    :param layers: file names in the archive, lowest first.
    :param names: what the daemon calls the image when it loads it.
    """
    config_name = hashlib.sha256(config).hexdigest() + ".json"
    manifest = {"Config": config_name, "RepoTags": list(names), "Layers": list(layers)}
    yield from tar_member(config_name, config)
    yield from tar_member("manifest.json", json.dumps([manifest]).encode())


def single_program(
    name: str, program: str, content: bytes, arguments: Sequence[str]
) -> Iterator[bytes]:
    """Archive of an image that holds one static program, which is its entry point."""
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as archive:
        member = tarfile.TarInfo(program)
        member.size, member.mode = len(content), 0o755
        archive.addfile(member, io.BytesIO(content))
    data = layer.getvalue()
    digest = hashlib.sha256(data).hexdigest()
    config = {
        "architecture": _here()[1],
        "os": "linux",
        "created": "1970-01-01T00:00:00Z",
        "config": {"Entrypoint": [f"/{program}", *arguments]},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
    }
    yield from tar_description(json.dumps(config).encode(), [f"{digest}.tar"], [name])
    yield from tar_member(f"{digest}.tar", data)
    yield TAR_END


# -- values of foreign JSON -----------------------------------------------------------


def _plain(name: str) -> str:
    return posixpath.normpath(name).lstrip("/")


def _text(value: object, what: str) -> str:
    if not isinstance(value, str) or not value:
        raise exception.ImageRejected(f"{what} is {value!r}")
    return value


def _digest(value: object) -> str:
    text = _text(value, "digest of a layer")
    algorithm, _, digits = text.partition(":")
    if (
        algorithm != "sha256"
        or len(digits) != 64
        or set(digits) - set("0123456789abcdef")
    ):
        raise exception.ImageRejected(f"digest of a layer is {text!r}")
    return text


def _words(settings: Mapping[str, Any], name: str) -> tuple[str, ...]:
    value = settings.get(name) or []
    words = [value] if isinstance(value, str) else value
    if not isinstance(words, list) or not all(isinstance(w, str) for w in words):
        raise exception.ImageRejected(f"the image's {name} is {value!r}")
    return tuple(cast(list[str], words))
