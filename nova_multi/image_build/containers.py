# SPDX-License-Identifier: Apache-2.0
"""The containers' packagings: a Docker archive, and two forms for LXD."""

from __future__ import annotations

import hashlib
import json
import tarfile
import time
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

from nova_multi.image_build.plan import ARCHITECTURES
from nova_multi.image_build.programs import run


def root_tar(root: Path, target: Path, epoch: int) -> None:
    """Write a folder's content as a tar archive."""
    run(
        [
            "tar",
            "--create",
            f"--file={target}",
            *_tar_options(epoch),
            f"--directory={root}",
            ".",
        ]
    )


def _tar_options(epoch: int) -> list[str]:
    """What makes the bytes depend on nothing but the content."""
    return [
        "--sort=name",
        f"--mtime=@{epoch}",
        "--clamp-mtime",
        "--numeric-owner",
        "--format=posix",
        "--pax-option=exthdr.name=%d/PaxHeaders/%f,delete=atime,delete=ctime",
        "--xattrs",
    ]


def docker_archive(
    root: Path,
    target: Path,
    *,
    tag: str,
    architecture: str,
    epoch: int,
    command: Sequence[str] = ("/sbin/init",),
) -> None:
    """Write what `docker save` would write for an image of one layer."""
    layer = target.with_suffix(".layer")
    root_tar(root, layer, epoch)
    digest = _sha256(layer)
    created = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(epoch))
    config = _json(
        {
            "architecture": architecture,
            "os": "linux",
            "created": created,
            "config": {
                "Cmd": list(command),
                "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin"],
                "WorkingDir": "/",
            },
            "history": [{"created": created, "created_by": "nova-multi image build"}],
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
        }
    )
    config_name = f"{hashlib.sha256(config).hexdigest()}.json"
    manifest = _json(
        [
            {
                "Config": config_name,
                "RepoTags": [tag],
                "Layers": [f"{digest}/layer.tar"],
            }
        ]
    )
    with tarfile.open(target, "w", format=tarfile.USTAR_FORMAT) as archive:
        for name, content in ((config_name, config), ("manifest.json", manifest)):
            header = _header(name, len(content), epoch)
            archive.addfile(header, BytesIO(content))
        header = _header(f"{digest}/layer.tar", layer.stat().st_size, epoch)
        with layer.open("rb") as stream:
            archive.addfile(header, stream)
    layer.unlink()


def squashfs(root: Path, target: Path, epoch: int) -> None:
    """Write the root file system alone; quickly, at little cost in size.

    Nothing is below ``/dev``: LXD mounts its own, and an image with device nodes is
    refused where it comes from users.
    """
    run(
        [
            "mksquashfs",
            root,
            target,
            "-noappend",
            "-quiet",
            "-no-progress",
            "-comp",
            "zstd",
            "-Xcompression-level",
            "3",
            "-wildcards",
            "-e",
            "dev/*",
        ],
        # mksquashfs takes the time of the file system from here.
        environment={"SOURCE_DATE_EPOCH": str(epoch)},
    )


def lxd_unified(
    root: Path,
    target: Path,
    *,
    architecture: str,
    epoch: int,
    distribution: str = "debian",
    description: str = "Example guest",
) -> None:
    """Write the archive that `lxc image import` takes as one file."""
    plain = target.with_suffix("")
    metadata = plain.with_name("metadata.yaml")
    metadata.write_bytes(
        _json(  # which is YAML as well
            {
                "architecture": ARCHITECTURES.get(architecture, architecture),
                "creation_date": epoch,
                "properties": {"os": distribution, "description": description},
            }
        )
    )
    metadata.chmod(0o644)
    run(
        [
            "tar",
            "--create",
            f"--file={plain}",
            *_tar_options(epoch),
            r"--transform=s,^\.,rootfs,S",
            f"--directory={metadata.parent}",
            metadata.name,
            f"--directory={root}",
            ".",
        ]
    )
    metadata.unlink()
    run(["gzip", "--no-name", "--fast", plain])


def _header(name: str, size: int, epoch: int) -> tarfile.TarInfo:
    header = tarfile.TarInfo(name)
    header.size = size
    header.mtime = epoch
    header.mode = 0o644
    return header


def _json(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
