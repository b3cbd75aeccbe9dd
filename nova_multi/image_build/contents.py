# SPDX-License-Identifier: Apache-2.0
"""What a recipe adds to its packages: the init, accounts, files."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from nova_multi.domain.recipe import File, Init, Recipe, User
from nova_multi.exception import BuildError

_HERE = Path(__file__).parent
#: Scripts of the small init; systemd runs some of them as well.
SMALL = _HERE / "small" / "root"
#: The initial RAM disk's first program.
INITRAMFS = _HERE / "small" / "initramfs" / "init"
#: Units and settings of the others.
UNITS = _HERE / "systemd"
CLOUD_INIT = _HERE / "cloud_init"

_FIRST_UID = 1000


def below(root: Path, path: str) -> Path:
    """A path of the image, with its links followed below `root` and never out of it.

    :param path: of the image; its last part is not followed.
    :raises BuildError: it goes through what is no folder, or in a circle.
    """
    rest = [part for part in reversed(path.split("/")) if part not in ("", ".")]
    done: list[str] = []
    followed = 0
    while rest:
        part = rest.pop()
        if part == "..":
            done = done[:-1]
            continue
        here = root.joinpath(*done, part)
        if rest and here.is_symlink():
            followed += 1
            if followed > 40:
                raise BuildError(f"{path} leads in a circle of links")
            target = os.readlink(here)
            if target.startswith("/"):
                done = []
            rest += [each for each in reversed(target.split("/")) if each not in "."]
            continue
        if rest and here.exists() and not here.is_dir():
            raise BuildError(f"{path} goes through /{'/'.join((*done, part))}, a file")
        done.append(part)
    return root.joinpath(*done)


def remove(root: Path, path: str) -> None:
    """Remove a file or folder of the image; nothing is fine, too."""
    target = below(root, path)
    if target == root:
        raise BuildError("the whole of an image can't be removed")
    if target.is_dir() and not target.is_symlink():
        shutil.rmtree(target)
    else:
        target.unlink(missing_ok=True)


def put_init(recipe: Recipe, root: Path) -> None:
    """Add what the recipe's init needs besides its packages."""
    match recipe.init:
        case Init.SMALL:
            _overlay(SMALL, root)
        case Init.SYSTEMD:
            _overlay(SMALL / "usr" / "lib", root / "usr" / "lib")
            _overlay(UNITS, root)
            _enable(root, "nova-multi-guest.service")
        case Init.CLOUD_INIT:
            _overlay(CLOUD_INIT, root)
    if recipe.init in (Init.SYSTEMD, Init.CLOUD_INIT) and recipe.ssh:
        _host_keys(root)
    for applet in recipe.applets:
        (root / "usr/local/bin").mkdir(parents=True, exist_ok=True)
        link = root / "usr/local/bin" / applet
        if not link.is_symlink():
            link.symlink_to("/bin/busybox")


def _overlay(source: Path, target: Path) -> None:
    """Copy our own files; an installed package may have lost their modes."""
    for path in sorted(source.rglob("*")):
        if path.is_file() and path.suffix != ".pyc":
            place = target / path.relative_to(source)
            _folders(target, place.parent)
            shutil.copyfile(path, place)
            shutil.copystat(path, place)
            place.chmod(0o755 if path.read_bytes()[:2] == b"#!" else 0o644)


def _folders(root: Path, folder: Path) -> None:
    for ancestor in reversed([folder, *folder.parents]):
        if not ancestor.is_relative_to(root) or ancestor.is_dir():
            continue
        ancestor.mkdir()
        ancestor.chmod(0o755)


def _enable(root: Path, unit: str) -> None:
    wants = root / "etc/systemd/system/multi-user.target.wants"
    _folders(root, wants)
    (wants / unit).symlink_to(f"/etc/systemd/system/{unit}")


def _host_keys(root: Path) -> None:
    """The image has no host keys: each guest makes its own, before it serves."""
    folder = root / "etc/systemd/system/ssh.service.d"
    _folders(root, folder)
    settings = folder / "host-keys.conf"
    # Its own check, which comes first otherwise, fails where there are none.
    before = ("", "/usr/bin/ssh-keygen -A", "/usr/sbin/sshd -t")
    lines = "".join(f"ExecStartPre={each}\n" for each in before)
    settings.write_text(f"[Service]\n{lines}")
    settings.chmod(0o644)


def put_users(recipe: Recipe, root: Path) -> None:
    """Add accounts; by hand, because nothing can be run in some images.

    :raises BuildError: one is there already, or the image has no accounts.
    """
    if not recipe.users:
        return
    passwd, group = root / "etc/passwd", root / "etc/group"
    if not passwd.exists() or not group.exists():
        raise BuildError("the image has no /etc/passwd: users can't be added")
    numbers = _free_numbers(passwd.read_text() + group.read_text())
    for user in recipe.users:
        if user.name == "root":
            _put_keys(root, user, 0, root / "root")
            continue
        if re.search(rf"^{re.escape(user.name)}:", passwd.read_text(), re.MULTILINE):
            raise BuildError(f"the user {user.name} is in the image already")
        number = next(numbers)
        home = f"/home/{user.name}"
        _append(passwd, f"{user.name}:x:{number}:{number}::{home}:{user.shell}\n")
        _append(group, f"{user.name}:x:{number}:\n")
        days = recipe.epoch // 86_400
        if (root / "etc/shadow").exists():
            # No password is right, and none is needed for a key.
            _append(root / "etc/shadow", f"{user.name}:*:{days}:0:99999:7:::\n")
        if (root / "etc/gshadow").exists():
            _append(root / "etc/gshadow", f"{user.name}:!::\n")
        (root / home.lstrip("/")).mkdir(parents=True, exist_ok=True)
        os.chown(root / home.lstrip("/"), number, number)
        _put_keys(root, user, number, root / home.lstrip("/"))
        if user.sudo:
            folder = root / "etc/sudoers.d"
            _folders(root, folder)
            rule = folder / user.name.replace(".", "_")
            rule.write_text(f"{user.name} ALL=(ALL) NOPASSWD:ALL\n")
            rule.chmod(0o440)


def _free_numbers(text: str) -> Iterator[int]:
    taken = {int(number) for number in re.findall(r":(\d+):", text)}
    return (number for number in range(_FIRST_UID, 60_000) if number not in taken)


def _append(path: Path, line: str) -> None:
    with path.open("a") as stream:
        stream.write(line)


def _put_keys(root: Path, user: User, number: int, home: Path) -> None:
    if not user.keys:
        return
    folder = home / ".ssh"
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    keys = folder / "authorized_keys"
    keys.write_text("".join(f"{key}\n" for key in user.keys))
    keys.chmod(0o600)
    for path in (folder, keys):
        os.chown(path, number, number)


def put_files(recipe: Recipe, root: Path) -> None:
    """Put a recipe's files in, in the order of their paths.

    :raises BuildError: a path leads through a file, an owner is unknown.
    """
    for file in sorted(recipe.files, key=lambda each: each.path):
        target = below(root, file.path)
        owner, group = _owner(root, file)
        _folders(root, target.parent)
        if file.source is not None and file.source.is_dir():
            _put_folder(file, target, owner, group)
            continue
        if target.is_dir() and not target.is_symlink():
            raise BuildError(f"{file.path} is a folder of the image")
        target.unlink(missing_ok=True)
        if file.link is not None:
            target.symlink_to(file.link)
        elif file.source is not None:
            _put_copy(file.source, target, file.mode)
        else:
            target.write_text(file.content or "", encoding="utf-8", newline="")
            target.chmod(0o644 if file.mode is None else file.mode)
        os.chown(target, owner, group, follow_symlinks=False)
        if file.mode is not None and file.link is None:
            # A change of owner takes setuid away.
            target.chmod(file.mode)


def _put_copy(source: Path, target: Path, mode: int | None) -> None:
    if source.is_symlink():
        target.symlink_to(os.readlink(source))
        return
    shutil.copyfile(source, target)
    if mode is None:
        # A checkout's umask is nothing of the recipe.
        mode = 0o755 if source.stat().st_mode & 0o100 else 0o644
    target.chmod(mode)


def _put_folder(file: File, target: Path, owner: int, group: int) -> None:
    assert file.source is not None
    _folders(target.parent, target)
    for path in sorted(file.source.rglob("*")):
        place = target / path.relative_to(file.source)
        if path.is_dir() and not path.is_symlink():
            place.mkdir(exist_ok=True)
            place.chmod(0o755)
        elif path.is_symlink() or path.is_file():
            if place.is_symlink() or place.is_file():
                place.unlink()
            _put_copy(path, place, None)
        else:
            raise BuildError(f"{path} is neither a file, a folder nor a link")
        os.chown(place, owner, group, follow_symlinks=False)
    if file.mode is not None:
        target.chmod(file.mode)
    os.chown(target, owner, group)


def _owner(root: Path, file: File) -> tuple[int, int]:
    """Numbers of a file's owner and group, by the image's own accounts."""
    user = _number(root / "etc/passwd", file.owner, file.path)
    if not file.group:
        if file.owner.isdigit():
            return user, user
        found = re.search(
            rf"^{re.escape(file.owner)}:[^:]*:\d+:(\d+):",
            _text(root / "etc/passwd"),
            re.MULTILINE,
        )
        return user, int(found[1]) if found else user
    return user, _number(root / "etc/group", file.group, file.path)


def _number(accounts: Path, name: str, path: str) -> int:
    if name.isdigit():
        return int(name)
    if name == "root":
        return 0
    pattern = rf"^{re.escape(name)}:[^:]*:(\d+):"
    found = re.search(pattern, _text(accounts), re.MULTILINE)
    if found is None:
        raise BuildError(f"{path}: the image has no {name} in /etc/{accounts.name}")
    return int(found[1])


def _text(path: Path) -> str:
    return path.read_text() if path.exists() else ""
