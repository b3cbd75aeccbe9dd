# SPDX-License-Identifier: Apache-2.0
"""Which user-data a container can run, and the folder that carries it there.

With cloud-init in the image everything is cloud-init's business. Without it the driver
runs scripts itself, before the image's own command (:file:`guest/bootstrap.sh`), and
refuses at boot what nobody in that guest would ever act on.
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
import email
import gzip
import importlib.resources
import io
import os
import shutil
import zlib

from nova_multi import exception
from nova_multi.virt.engine import GUEST_DIRECTORY, ImageFacts

BOOTSTRAP = "bootstrap.sh"
#: Beginnings that mean something to cloud-init alone, with the name for the message.
_CLOUD_INIT_ONLY = {
    b"#cloud-config": "cloud-config",
    b"#cloud-boothook": "cloud-boothook",
    b"#cloud-config-archive": "cloud-config-archive",
    b"#include": "include list",
    b"#part-handler": "part handler",
    b"## template:": "template",
}
_MULTIPART = (b"content-type:", b"mime-version:")
#: Unpacked size at which gzip'ed user-data is refused; Nova takes 64 KiB packed.
MAX_UNPACKED = 4 * 1024 * 1024


@dataclasses.dataclass(frozen=True, slots=True)
class Bootstrap:
    """What a guest without cloud-init runs before its own command.

    :ivar scripts: each begins with ``#!``, in order.
    :ivar authorized_keys: for the guest's user of the first process; empty for none.
    """

    scripts: tuple[bytes, ...] = ()
    authorized_keys: str = ""

    def __bool__(self) -> bool:
        return bool(self.scripts or self.authorized_keys)


def decode(user_data: str | None) -> bytes:
    """User-data as the user wrote it (from Nova's base64; gzip is unpacked).

    :raises UserDataRejected: damaged, or too large when unpacked.
    """
    if not user_data:
        return b""
    try:
        data = base64.b64decode("".join(user_data.split()), validate=True)
        if data.startswith(b"\x1f\x8b"):
            with gzip.GzipFile(fileobj=io.BytesIO(data)) as packed:
                data = packed.read(MAX_UNPACKED + 1)
    except (binascii.Error, OSError, EOFError, zlib.error) as error:
        raise exception.UserDataRejected(f"user-data is damaged: {error}") from error
    if len(data) > MAX_UNPACKED:
        raise exception.UserDataRejected(
            f"user-data is larger than {MAX_UNPACKED} bytes when unpacked"
        )
    return data


def plan(user_data: str | None, key_data: str | None, facts: ImageFacts) -> Bootstrap:
    """What the driver itself must run in a guest of this image.

    :param user_data: as Nova keeps it, in base64.
    :param key_data: public key of the server's key pair.
    :raises UserDataRejected: the image has nothing that could act on the user-data.
    """
    if facts.cloud_init:
        return Bootstrap()
    scripts = tuple(_scripts(decode(user_data)))
    if not facts.shell:
        if scripts:
            raise exception.UserDataRejected(
                "user-data is a script, but the image has no /bin/sh to run it;"
                " use an image with a shell, or boot without user-data"
            )
        # Nobody could log in there either; the key stays readable as metadata.
        return Bootstrap()
    return Bootstrap(scripts, f"{key_data.strip()}\n" if key_data else "")


def _scripts(data: bytes) -> list[bytes]:
    text = data.lstrip()
    if text.startswith(b"#!"):
        return [text]
    if text[:64].lower().startswith(_MULTIPART):
        found: list[bytes] = []
        for part in email.message_from_bytes(text).walk():
            if part.get_content_maintype() != "multipart":
                payload = part.get_payload(decode=True)
                found += _scripts(payload if isinstance(payload, bytes) else b"")
        return found
    for beginning, name in _CLOUD_INIT_ONLY.items():
        if text.startswith(beginning):
            raise exception.UserDataRejected(
                # Short: Nova cuts the reason that the user sees at 255 characters.
                f"user-data is a {name}, which needs cloud-init, and the image has"
                " none; use an image with cloud-init, or a script that begins with #!"
            )
    # Anything else is data, which the guest may fetch from the metadata service.
    return []


def write(folder: str, instance_uuid: str, bootstrap: Bootstrap) -> str:
    """Write the guest's folder and return the script's path inside the guest.

    :param folder: made anew; becomes GUEST_DIRECTORY, read-only.
    :returns: value for ``ContainerSpec.bootstrap``.
    """
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(os.path.join(folder, "scripts"), mode=0o755)
    os.chmod(folder, 0o755)
    source = importlib.resources.files("nova_multi.guest") / BOOTSTRAP
    _write(folder, BOOTSTRAP, source.read_bytes(), 0o755)
    _write(folder, "instance-uuid", f"{instance_uuid}\n".encode(), 0o644)
    for number, script in enumerate(bootstrap.scripts, start=1):
        _write(folder, f"scripts/part-{number:03d}", script, 0o700)
    if bootstrap.authorized_keys:
        _write(folder, "authorized_keys", bootstrap.authorized_keys.encode(), 0o600)
    return f"{GUEST_DIRECTORY}/{BOOTSTRAP}"


def _write(folder: str, name: str, content: bytes, mode: int) -> None:
    descriptor = os.open(
        os.path.join(folder, name), os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode
    )
    with os.fdopen(descriptor, "wb") as target:
        os.fchmod(descriptor, mode)  # whatever the umask
        target.write(content)
