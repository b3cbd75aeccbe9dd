# SPDX-License-Identifier: Apache-2.0
"""Docker archives (``docker save``): inspected, then written anew.

What a tenant uploaded never reaches a daemon as it is. Layers go through bit for bit,
their digests compared with the configuration's; the manifest and the configuration are
written anew. So an archive can't name (and overwrite) another image, declare volumes,
which would evade the disk limit and be missing from snapshots, or carry our marks.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import posixpath
import tarfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import IO, Any, cast

from nova_multi import exception
from nova_multi.inspection.facts import ImageFacts
from nova_multi.inspection.layers import Tree, member_path
from nova_multi.inspection.tarball import (
    TAR_END,
    tar_description,
    tar_header,
    tar_padding,
)
from nova_multi.inspection.tarheader import CheckedInfo, check_name, copied
from nova_multi.inspection.unpacking import (
    CHUNK,
    Limits,
    Unpacked,
    compression,
    damage_rejected,
    decompressed,
    forget_members,
)

#: What our own labels begin with: no image brings any.
OWN_LABELS = "nova-multi."

#: A manifest or configuration is some kilobytes.
_MAX_JSON = 4 * 1024 * 1024
#: overlay2 stacks no more; the guest's own layer and its snapshots need some.
_MAX_LAYERS = 120
#: Some files for each layer: this is about the archive, not about what is in layers.
_MAX_MEMBERS = 10_000
#: Pieces of all sparse members: zeros of layers may be holes.
_MAX_PIECES = 100_000
#: Parts of an image's configuration that a guest takes over. Not among them: volumes,
#: health checks, build triggers.
_KEPT = ("User", "Env", "WorkingDir", "ExposedPorts", "StopSignal", "Shell")


@dataclasses.dataclass(frozen=True, slots=True)
class _Layer:
    """A layer.

    :ivar devices: whether it holds device nodes.
    :ivar written: its content, where that was written anew.
    """

    member: tarfile.TarInfo
    diff_id: str
    devices: bool = False
    written: IO[bytes] | None = None

    @property
    def file_name(self) -> str:
        return self.diff_id.removeprefix("sha256:") + ".tar"


class Archive:
    """An opened, inspected Docker archive; made by :func:`opened`.

    :ivar facts: what was found in it.
    :ivar tree: names of all that is in it.
    """

    def __init__(
        self,
        archive: tarfile.TarFile,
        limits: Limits,
        system: tuple[str, str] | None = None,
    ) -> None:
        self._archive = archive
        self._limits = limits
        self._wanted = system
        self._members: dict[str, tarfile.TarInfo] = {}
        pieces = 0
        for member in archive:
            check_name(member.name)
            check_name(member.linkname, "link target")
            self._members[_plain(member.name)] = _light(member)
            pieces += len(cast(Any, member).sparse or ())
            if pieces > _MAX_PIECES:
                raise exception.ImageRejected("the archive's files have too many holes")
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
        if self._wanted and system != self._wanted:
            raise exception.ImageRejected(
                f"the image is for {system[0]}/{system[1]}, this host is"
                f" {self._wanted[0]}/{self._wanted[1]}"
            )
        tree = self.tree = Tree()
        count = size = 0
        for number, layer in enumerate(self._layers):
            devices = False
            with self._open(layer.member) as packed:
                reader = Unpacked(packed, layer.member.size, self._limits)
                with tarfile.open(
                    fileobj=cast(IO[bytes], reader), mode="r|", tarinfo=CheckedInfo
                ) as content:
                    for member in tree.add_layer(content):
                        count += 1
                        size += member.size if member.isreg() else 0
                        devices |= _is_device(member)
                        forget_members(content)
                        self._check(count, size)
                found = reader.finish()
            if found != layer.diff_id:
                raise exception.ImageRejected(
                    f"layer {layer.member.name} has digest {found}, the configuration"
                    f" says {layer.diff_id}"
                )
            self._layers[number] = dataclasses.replace(layer, devices=devices)
        command = self._command()
        return ImageFacts(
            shell=tree.is_file("/bin/sh"),
            cloud_init=(
                posixpath.basename((command or ("",))[0]) in ("init", "systemd")
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

    @property
    def architecture(self) -> str:
        """Docker's word for what it runs on."""
        return _text(self._config.get("architecture"), "architecture")

    # -- written anew ---------------------------------------------------------

    def drop_devices(self, make_file: Callable[[], IO[bytes]]) -> None:
        """Have device nodes left out, though no guest would ever see them.

        :param make_file: for each layer with any, which is written anew; they have to
            stay open as long as the archive.
        """
        for number, layer in enumerate(self._layers):
            if not layer.devices:
                continue
            target = make_file()
            with damage_rejected(), self._open(layer.member) as packed:
                reader = Unpacked(packed, layer.member.size, self._limits)
                _copy_without_devices(cast(IO[bytes], reader), target)
            target.seek(0)
            digest = hashlib.file_digest(target, "sha256").hexdigest()  # type: ignore[arg-type]
            self._layers[number] = _Layer(
                layer.member, f"sha256:{digest}", written=target
            )

    def _rebuilt_config(self, labels: Mapping[str, str]) -> bytes:
        old = self._settings()
        settings = {name: old[name] for name in _KEPT if old.get(name)}
        command = {name: _words(old, name) for name in ("Entrypoint", "Cmd")}
        settings |= {name: list(words) for name, words in command.items() if words}
        brought = old.get("Labels") or {}
        settings["Labels"] = {
            str(name): str(value)
            for name, value in (brought.items() if isinstance(brought, dict) else ())
            if not str(name).startswith(OWN_LABELS)
        }
        settings["Labels"] |= labels
        config = {
            "architecture": self._config["architecture"],
            "os": self._config["os"],
            "created": self._config.get("created") or "1970-01-01T00:00:00Z",
            "config": settings,
            "rootfs": {"type": "layers", "diff_ids": [x.diff_id for x in self._layers]},
        }
        return json.dumps(config).encode()

    def rebuilt(
        self, names: Sequence[str] = (), labels: Mapping[str, str] | None = None
    ) -> Iterator[bytes]:
        """The archive written anew: one image.

        :param names: what a daemon calls the image when it loads it.
        :param labels: of ours.
        """
        config = self._rebuilt_config(labels or {})
        files = [layer.file_name for layer in self._layers]
        yield from tar_description(config, files, names)
        written: set[str] = set()
        for layer in self._layers:
            if layer.file_name in written:
                continue
            written.add(layer.file_name)
            yield from self._content(layer)
        yield TAR_END

    def _content(self, layer: _Layer) -> Iterator[bytes]:
        size = layer.member.size
        if layer.written:
            size = layer.written.seek(0, 2)
            layer.written.seek(0)
        yield tar_header(layer.file_name, size)
        source = layer.written or self._open(layer.member)
        while chunk := source.read(CHUNK):
            yield chunk
        yield tar_padding(size)


def _is_device(member: tarfile.TarInfo) -> bool:
    return member.ischr() or member.isblk()


def _copy_without_devices(source: IO[bytes], target: IO[bytes]) -> None:
    """Copy a layer that was looked at before."""
    dropped: set[str] = set()
    with (
        tarfile.open(fileobj=source, mode="r|", tarinfo=CheckedInfo) as layer,
        tarfile.open(fileobj=target, mode="w|", format=tarfile.PAX_FORMAT) as copy,
    ):
        for member in layer:
            forget_members(layer)
            name = member_path(member)
            if _is_device(member) or (
                member.islnk() and posixpath.normpath(member.linkname) in dropped
            ):
                dropped.add(name)
                continue
            copied(layer, member, copy)
            forget_members(copy)


@contextlib.contextmanager
def opened(
    path: str, limits: Limits, system: tuple[str, str] | None = None
) -> Iterator[Archive]:
    """Open and inspect an archive.

    :param system: operating system and architecture, in Docker's words, that it has to
        be for; None takes any.
    :raises ImageRejected: damaged, dangerous, too large, or something else.
    """
    with contextlib.ExitStack() as stack:
        source: IO[bytes] = stack.enter_context(open(path, "rb"))
        with damage_rejected():
            if opener := compression(source):
                source = decompressed(opener, source, path, limits)
                stack.enter_context(source)
            archive = stack.enter_context(
                tarfile.open(fileobj=source, mode="r:", tarinfo=CheckedInfo)
            )
            inspected = Archive(archive, limits, system)
        yield inspected


# -- values of foreign JSON -----------------------------------------------------------


def _light(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """The member without what is not needed of its headers, which may be much."""
    member.pax_headers = {}
    member.uname = member.gname = ""
    return member


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
