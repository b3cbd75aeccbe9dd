# SPDX-License-Identifier: Apache-2.0
"""Glance's file made ready for LXD: checked, its metadata replaced by ours.

Taken are unified tarballs (metadata.yaml, rootfs/), tarballs of a root file system, and
root file systems as squashfs. LXD gets each of them in two parts.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import tarfile
import tempfile
import time
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO

from nova_multi.inspection import roottree
from nova_multi.virt.engine import ImageFacts, ImageKey

#: Properties of our images in LXD.
IMAGE_ID = "nova-multi.image-id"
CHECKSUM = "nova-multi.checksum"
SHELL = "nova-multi.shell"
CLOUD_INIT = "nova-multi.cloud-init"
SIZE = "nova-multi.size"
INIT = "nova-multi.init"

#: How images are compressed that LXD writes: the fastest that every LXD reads.
EXPORT_COMPRESSION = "gzip -1"
#: Glance fields of an image that LXD wrote. Glance knows no format of LXD's; ``raw`` is
#: what it does not look into.
EXPORT_FIELDS = {"container_format": "bare", "disk_format": "raw"}

_INITS = ("sbin/init", "etc/init", "bin/init")
_GENERATORS = (
    "usr/lib/systemd/system-generators/cloud-init-generator",
    "lib/systemd/system-generators/cloud-init-generator",
)


def facts(tree: roottree.Tree) -> ImageFacts:
    """What the driver wants to know about a root file system."""
    return ImageFacts(
        shell=tree.has("bin/sh"),
        cloud_init=_has_cloud_init(tree),
        command=("/sbin/init",) if any(tree.has(init) for init in _INITS) else (),
        size_bytes=tree.size_bytes,
    )


def _has_cloud_init(tree: roottree.Tree) -> bool:
    """Whether cloud-init is installed and would run when the image boots."""
    if tree.has("etc/cloud/cloud-init.disabled") or not tree.has("usr/bin/cloud-init"):
        return False
    if any(tree.has(path) for path in _GENERATORS):
        return True
    starters = [*tree.names_below("etc/systemd/system")]
    starters += [*tree.names_below("etc/runlevels")]  # OpenRC
    starters += [name for name in tree.names_below("etc") if name.startswith("etc/rc")]
    return any("cloud-init" in os.path.basename(name) for name in starters)


def properties(key: ImageKey, found: ImageFacts) -> dict[str, str]:
    """What LXD is to remember of an image."""
    return {
        "description": f"Glance image {key.image_id}",
        IMAGE_ID: key.image_id,
        CHECKSUM: key.checksum,
        SHELL: str(found.shell).lower(),
        CLOUD_INIT: str(found.cloud_init).lower(),
        SIZE: str(found.size_bytes),
        INIT: str(bool(found.command)).lower(),
    }


def facts_of(record: Mapping[str, Any]) -> ImageFacts:
    """Facts that were stored with an image."""
    stored = record["properties"]
    return ImageFacts(
        shell=stored.get(SHELL) == "true",
        cloud_init=stored.get(CLOUD_INIT) == "true",
        command=("/sbin/init",) if stored.get(INIT) == "true" else (),
        size_bytes=int(stored.get(SIZE, 0)),
    )


def key_of(record: Mapping[str, Any]) -> ImageKey | None:
    """Key of an image in LXD, or None if it is not ours."""
    stored = record["properties"]
    if IMAGE_ID in stored and CHECKSUM in stored:
        return ImageKey(stored[IMAGE_ID], stored[CHECKSUM])
    return None


@contextlib.contextmanager
def prepared(
    path: str, key: ImageKey, limits: roottree.Limits
) -> Iterator[tuple[BinaryIO, BinaryIO, ImageFacts]]:
    """Open both parts of an image for LXD: metadata and root file system.

    :param path: Glance's data; a rebuilt root file system is written beside it.
    :raises ImageRejected: not of these formats, damaged, or dangerous.
    """
    packed_bytes = os.path.getsize(path)
    with open(path, "rb") as source, contextlib.ExitStack() as stack:
        magic = source.read(len(roottree.SQUASHFS_MAGIC))
        source.seek(0)
        rootfs: BinaryIO = source
        if magic == roottree.SQUASHFS_MAGIC:
            tree = roottree.squashfs_tree(path, limits, packed_bytes)
        else:
            rootfs = stack.enter_context(
                tempfile.TemporaryFile(dir=os.path.dirname(path))
            )
            tree = roottree.RootTar(source, limits, packed_bytes).copy(rootfs)
            rootfs.seek(0)
        found = facts(tree)
        yield _metadata(properties(key, found)), rootfs, found


def _metadata(values: Mapping[str, str]) -> BinaryIO:
    """The metadata part: a tar with our ``metadata.yaml`` and nothing else."""
    content = json.dumps(  # which is YAML as well
        {
            "architecture": os.uname().machine,
            "creation_date": int(time.time()),
            "properties": dict(values),
        }
    ).encode()
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as packed:
        member = tarfile.TarInfo("metadata.yaml")
        member.size = len(content)
        packed.addfile(member, io.BytesIO(content))
    target.seek(0)
    return target
