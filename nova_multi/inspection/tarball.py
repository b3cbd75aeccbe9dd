# SPDX-License-Identifier: Apache-2.0
"""Docker archives, written as a stream."""

from __future__ import annotations

import hashlib
import io
import json
import platform
import tarfile
from collections.abc import Iterator, Sequence

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "ppc64le": "ppc64le"}

#: Ends an archive.
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
        "architecture": native_system()[1],
        "os": "linux",
        "created": "1970-01-01T00:00:00Z",
        "config": {"Entrypoint": [f"/{program}", *arguments]},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
    }
    yield from tar_description(json.dumps(config).encode(), [f"{digest}.tar"], [name])
    yield from tar_member(f"{digest}.tar", data)
    yield TAR_END


def native_system() -> tuple[str, str]:
    """Operating system and architecture of this host in Docker's words."""
    return "linux", _ARCHITECTURES.get(platform.machine(), platform.machine())
