# SPDX-License-Identifier: Apache-2.0
"""Installs a system to a disk, and makes an image of it.

An installer's kernel and initial RAM disk, with the answers in it, boot a server whose
root disk is blank; the installer switches the server off at its end, and what its disk
holds then is the image. The console tells how far it is, and in the end whether it came
through: a server that is merely off may have given up.
"""

from __future__ import annotations

import hashlib
import io
import tempfile
from collections.abc import Iterator, Sequence
from typing import IO, Any

from nova_multi import cpio
from nova_multi.cloud import marks
from nova_multi.cloud.values import NewServer, Server
from nova_multi.domain import times
from nova_multi.domain.driver import Driver
from nova_multi.domain.errors import Conflict, NotFound
from nova_multi.domain.image import ImageType
from nova_multi.domain.names import Kind
from nova_multi.domain.task import TaskStatus
from nova_multi.inspection import installer
from nova_multi.provision import answers, console, guest
from nova_multi.provision.steps import content, snapshot
from nova_multi.provision.steps.base import (
    Step,
    Wait,
    Work,
    made,
    ready,
    take_back,
)
from nova_multi.provision.steps.image_record import NAME, READY
from nova_multi.provision.steps.instance import drop_servers

#: Seconds between looks at the installer's console.
_LOOK = 5.0
_LOOK_SOON = 1.0
#: Lines of the console, and the characters of each, that an error tells.
_LAST_LINES, _LAST_LENGTH = 12, 160
_CHUNK = 1024 * 1024
#: Bytes of a disk with nothing on it; Nova makes it as large as the flavor says.
_BLANK = 1024**2
_KERNEL, _RAMDISK, _DISK = "kernel", "ramdisk", "disk"


def install(work: Work) -> Sequence[Step]:
    """Install a system, make the image, and leave nothing else."""
    return [
        NAME,
        Step("environment", "image", _environment),
        Step("installer", "installer of image", _boot_images, _delete_boot_images),
        Step("port", "port of image's installer", _port, _delete_port),
        Step("server", "installer of image", _server, drop_servers),
        Step("install", "installer of image", _install),
        Step("snapshot", "image", _snapshot, snapshot.delete_made),
        *snapshot.FILLED,
        Step("server gone", "installer of image", drop_servers),
        Step("port gone", "port of image's installer", _delete_port),
        Step("installer gone", "installer of image", _delete_boot_images),
        READY,
    ]


def _environment(work: Work) -> None:
    record = ready(work, Kind.ENVIRONMENT, work.payload["environment"])
    work.keep(
        project_id=record.openstack_id,
        network_id=record.data.get("network_id"),
        group_id=record.data.get("group_id"),
        # Kept before it is used: a repetition has to know what the first one sent.
        nonce=work.state.get("nonce") or guest.new_nonce(),
    )


# -- what the server boots from


def _boot_images(work: Work) -> None:
    """Fetch both in one go; what a former owner left half-way is begun anew."""
    work.status(TaskStatus.SETTING_UP)
    with content.turn(work.tools):
        found = _answers(work)
        with work.tools.files.scratch() as path:
            source = work.payload["installer"]
            checksum = work.payload.get("checksum")
            content.get(work, {**source, "checksum": checksum}, path)
            folder = path.rpartition("/")[0]
            with installer.opened(
                path, lambda: tempfile.TemporaryFile(dir=folder)
            ) as boot:
                kernel = _upload(work, _KERNEL, "aki", _pieces(boot.kernel))
                ramdisk = _upload(
                    work, _RAMDISK, "ari", _with_files(boot.ramdisk, found)
                )
        disk = _upload(
            work,
            _DISK,
            "raw",
            iter([bytes(_BLANK)]),
            kernel_id=kernel,
            ramdisk_id=ramdisk,
            os_command_line=found.command_line,
        )
    user_data = found.user_data.decode() if found.user_data else None
    work.keep(boot=[kernel, ramdisk, disk], user_data=user_data)


def _answers(work: Work) -> answers.Answers:
    with work.tools.files.scratch() as path:
        content.get(work, work.payload["answers"], path, answers.MAX_SIZE)
        with open(path, "rb") as file:
            text = file.read()
    source = work.payload["installer"]
    return answers.rendered(
        text,
        nonce=work.state["nonce"],
        key=work.payload["key"],
        timezone=work.payload["timezone"],
        media="" if "file" in source else source["url"],
    )


def _with_files(ramdisk: IO[bytes], found: answers.Answers) -> Iterator[bytes]:
    size = ramdisk.seek(0, io.SEEK_END)
    ramdisk.seek(0)
    yield from _pieces(ramdisk)
    if found.files:
        yield b"\0" * (-size % cpio.ALIGNMENT)
        yield cpio.archive(found.files)


def _pieces(source: IO[bytes]) -> Iterator[bytes]:
    return iter(lambda: source.read(_CHUNK), b"")


def _upload(
    work: Work, part: str, format: str, pieces: Iterator[bytes], **more: Any
) -> str:
    """A private image of that part; one that is whole is not sent again."""
    images = work.project().images
    container = format if format in ("aki", "ari") else "bare"
    for _ in range(2):
        image = images.create(
            f"{work.name}-{part}",
            ImageType.DISK,
            work.mark,
            disk_format=format,
            container_format=container,
            properties=more,
        )
        if image.status in ("queued", "active"):
            break
        images.delete(image.id)
    if image.status != "active":
        images.upload(image.id, pieces)
    return image.id


def _delete_boot_images(work: Work) -> None:
    if "project_id" not in work.state:
        return
    cloud = work.project()
    own = work.state.get("image_id")
    names = {f"{work.name}-{part}" for part in (_KERNEL, _RAMDISK, _DISK)}
    ids = list(work.state.get("boot", ()))
    for each in made(work, cloud, "image"):
        if each not in ids and each != own and _is_called(work, each, names):
            ids.append(each)
    take_back(work, "image", ids, cloud.images.delete)


def _is_called(work: Work, image_id: str, names: set[str]) -> bool:
    try:
        return work.project().images.image(image_id).name in names
    except NotFound:
        return False


# -- the server


def _port(work: Work) -> None:
    group = work.state.get("group_id")
    port = work.project().networks.create_port(
        f"{work.name}-installer",
        work.mark,
        network_id=work.state["network_id"],
        security_groups=[group] if group else (),
    )
    work.keep(port=port.id)


def _delete_port(work: Work) -> None:
    if "project_id" not in work.state:
        return
    cloud = work.project()
    ids = made(work, cloud, "port", work.state.get("port"))
    take_back(work, "port", ids, cloud.networks.delete_port)


def _server(work: Work) -> None:
    size = work.payload["size"]
    amounts = (size["cpus"], size["memory_mb"], size["disk_gb"])
    driver = Driver(work.payload["driver"])
    # Just before it is used: flavors that nothing seems to need are swept away.
    if work.tools.single:
        flavor = work.project().flavors.find_fitting(
            *amounts, host_type=None, driver=driver
        )
    else:
        flavor = work.tools.clouds.admin().flavors.find_or_make(
            *amounts, host_type=None, driver=driver
        )
    user_data = work.state.get("user_data")
    server_id = work.project().servers.create(
        NewServer(
            name=f"{work.name}-installer",
            image_id=work.state["boot"][2],
            flavor_id=flavor.id,
            ports=(work.state["port"],),
            user_data=user_data.encode() if user_data else None,
            metadata={marks.TASK_KEY: work.uuid},
            description=f"installs image {work.name}",
        ),
        work.mark,
        again=work.again,
    )
    # It may hold passwords, and nobody needs it any more.
    work.keep(server_id=server_id, user_data=None)


# -- until it has ended


def _install(work: Work) -> None:
    seen: dict[str, Any] = dict(work.state.get("console", {}))
    server = _look(work)
    if server.status == "ERROR":
        fault = server.fault.message if server.fault else "Nova gives no reason"
        raise Conflict(f"Nova: {fault}", code="server_error")
    if server.status == "BUILD":
        _check_build(work, server)
        raise Wait(_LOOK_SOON)
    work.status(TaskStatus.CREATING)
    _read(work, seen)
    if seen.get("exit"):
        _fail(seen, f"the installer ended with exit status {seen['exit']}")
    if server.status == "SHUTOFF" and not server.task_state:
        if seen.get("exit") is None:
            _fail(seen, "the installer was switched off before its end")
        return
    _check_time(work, seen)
    raise Wait(_LOOK)


def _look(work: Work) -> Server:
    try:
        return work.project().servers.server(work.state["server_id"])
    except NotFound as error:
        raise Conflict(
            f"server {work.state['server_id']} was deleted by somebody else",
            code="server_gone",
        ) from error


def _check_build(work: Work, server: Server) -> None:
    if work.step_age("install") > work.tools.settings.build_timeout:
        raise Conflict(
            f"server {server.id} is still {server.status} ({server.task_state}) after"
            f" {work.tools.settings.build_timeout:.0f} s",
            code="timeout",
        )


def _read(work: Work, seen: dict[str, Any]) -> None:
    """Take in what is new on the console, and tell its last line."""
    try:
        text = work.project().servers.console_log(work.state["server_id"])
    except Conflict:
        # It has none yet, or none any more.
        text = ""
    now = times.format_time(work.tools.clock())
    if "began" not in seen:
        seen |= {"began": now, "sign": now}
        work.keep(console=seen)
    digest = hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()
    if not text or digest == seen.get("digest"):
        return
    report = console.read(text, work.state["nonce"])
    if report.exit_code is not None:
        seen["exit"] = report.exit_code
    tail = console.last_lines(text, _LAST_LINES, _LAST_LENGTH)
    seen |= {"digest": digest, "sign": now, "tail": tail}
    work.keep(console=seen)
    if tail:
        work.message(TaskStatus.CREATING, tail[-1])


def _check_time(work: Work, seen: dict[str, Any]) -> None:
    settings = work.tools.settings
    if _age(work, seen["began"]) > settings.install_timeout:
        limit = settings.install_timeout
        _fail(seen, f"the installer has not ended within {limit:.0f} s")
    quiet = _age(work, seen["sign"])
    if quiet > settings.report_timeout:
        _fail(seen, f"the installer has written nothing for {quiet:.0f} s")


def _age(work: Work, since: str) -> float:
    return (work.tools.clock() - times.parse_time(since)).total_seconds()


def _fail(seen: dict[str, Any], why: str) -> None:
    """End with an error that has the console's last lines.

    :raises Conflict: always.
    """
    tail = seen.get("tail")
    told = f"; its last lines: {' | '.join(tail)}" if tail else ""
    raise Conflict(f"{why}{told}", code="installation_failed")


# -- the image


def _snapshot(work: Work) -> None:
    snapshot.take(work, work.state["server_id"])
