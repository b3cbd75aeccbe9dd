# SPDX-License-Identifier: Apache-2.0
"""The kernel and the initial RAM disk of virtual machines."""

from __future__ import annotations

import lzma
import re
import shutil
import struct
import subprocess
import tarfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from nova_multi import cpio
from nova_multi.domain.recipe import Recipe
from nova_multi.exception import BuildError
from nova_multi.image_build.contents import INITRAMFS, below
from nova_multi.image_build.programs import run


@dataclass(frozen=True)
class Modules:
    """A kernel's modules by their names, with underscores.

    What one release's kernel loads is part of another's.
    """

    files: Mapping[str, bytes]
    built_in: frozenset[str]


def unpack(package: Path, vmlinuz: Path) -> Modules:
    """Take the kernel out of its package; returns its modules."""
    modules: dict[str, bytes] = {}
    built_in: set[str] = set()
    with subprocess.Popen(
        ["dpkg-deb", "--fsys-tarfile", str(package)], stdout=subprocess.PIPE
    ) as unpacker:
        assert unpacker.stdout is not None
        with tarfile.open(fileobj=unpacker.stdout, mode="r|") as archive:
            for member in archive:
                content = archive.extractfile(member) if member.isfile() else None
                if content is None:
                    continue
                if "/boot/vmlinuz-" in member.name:
                    with vmlinuz.open("wb") as target:
                        shutil.copyfileobj(content, target)
                elif member.name.endswith("/modules.builtin"):
                    names = re.findall(r"([^/\n]+)\.ko$", content.read().decode(), re.M)
                    built_in.update(_canonical(name) for name in names)
                elif found := re.search(r"/([^/]+)\.ko(\.xz)?$", member.name):
                    raw = content.read()
                    modules[_canonical(found[1])] = (
                        lzma.decompress(raw) if found[2] else raw
                    )
    if unpacker.returncode or not vmlinuz.exists():
        raise BuildError(f"{package.name} holds no kernel")
    return Modules(modules, frozenset(built_in))


def command_line(recipe: Recipe, modules: Modules) -> str:
    """The recipe's command line, and what modules in the kernel are told there."""
    words = [recipe.kernel.command_line]
    for entry in recipe.kernel.modules:
        name, *options = entry.split()
        if _canonical(name) in modules.built_in:
            words += [f"{name}.{option}" for option in options]
    return " ".join(words)


def dependencies(module: bytes) -> list[str]:
    """The names of the modules that a module's own record says it needs."""
    found = re.search(rb"\0depends=([^\0]*)\0", module)
    if found is None or not found[1]:
        return []
    return [_canonical(name) for name in found[1].decode().split(",")]


def load_order(wanted: Iterable[str], modules: Modules) -> list[str]:
    """Names of the wanted modules and of all that they need, each after those.

    :raises BuildError: the kernel has no such module
    """
    order: list[str] = []

    def add(name: str) -> None:
        if name in order or name in modules.built_in:
            return
        if name not in modules.files:
            raise BuildError(f"the kernel has no module {name}")
        for needed in dependencies(modules.files[name]):
            add(needed)
        order.append(name)

    for name in wanted:
        add(_canonical(name))
    return order


def initramfs(recipe: Recipe, root: Path, modules: Modules, target: Path) -> None:
    """Write an initial RAM disk of busybox, the modules and the recipe's init.

    Not compressed: under emulation unpacking costs more than reading.
    """
    options = dict(entry.partition(" ")[::2] for entry in recipe.kernel.modules)
    order = load_order(options, modules)
    options = {_canonical(name): value for name, value in options.items()}
    found = below(root, "/bin/busybox")
    if not found.is_file():
        raise BuildError("the image has no busybox, which its initial RAM disk needs")
    busybox = found.read_bytes()
    with target.open("wb") as stream, cpio.Writer(stream, recipe.epoch) as archive:
        for folder in ("bin", "dev", "modules", "proc", "root", "sys"):
            archive.folder(folder)
        archive.node("dev/console", 5, 1)
        archive.file("init", INITRAMFS.read_bytes(), 0o755)
        archive.file("bin/busybox", busybox, 0o755)
        for applet in ("insmod", "mount", "poweroff", "switch_root", "usleep"):
            archive.link(f"bin/{applet}", "busybox")
        if is_dynamic(busybox):
            _add_libraries(root, archive)
        for name in order:
            archive.file(f"modules/{name}", modules.files[name])
        lines = [f"{name} {options.get(name, '')}".rstrip() for name in order]
        archive.file("modules/order", ("\n".join(lines) + "\n").encode())


def is_dynamic(program: bytes) -> bool:
    """Whether a program of ELF needs a loader and libraries.

    https://refspecs.linuxfoundation.org/elf/gabi4+/ch5.pheader.html
    """
    if program[:4] != b"\x7fELF":
        return False
    wide, order = program[4] == 2, "<" if program[5] == 1 else ">"
    # Offset of the table, size of an entry, entries.
    if wide:
        (offset,) = struct.unpack_from(f"{order}Q", program, 32)
        size, count = struct.unpack_from(f"{order}HH", program, 54)
    else:
        (offset,) = struct.unpack_from(f"{order}I", program, 28)
        size, count = struct.unpack_from(f"{order}HH", program, 42)
    interpreter = 3
    kinds = (
        struct.unpack_from(f"{order}I", program, offset + number * size)[0]
        for number in range(count)
    )
    return interpreter in kinds


def install_modules(package: Path, root: Path) -> None:
    """Put all modules of a kernel's package into the root, ready to be loaded.

    :raises BuildError: it holds none, or a program failed
    """
    with subprocess.Popen(
        ["dpkg-deb", "--fsys-tarfile", str(package)], stdout=subprocess.PIPE
    ) as unpacker:
        done = subprocess.run(
            [
                "tar",
                "--extract",
                "--keep-directory-symlink",
                "--wildcards",
                f"--directory={root}",
                "./lib/modules/*",
                "./usr/lib/modules/*",
            ],
            stdin=unpacker.stdout,
            capture_output=True,
            check=False,
        )
    # tar complains of the one of the two patterns that does not fit.
    folder = below(root, "/lib/modules/x").parent
    versions = sorted(path.parent.name for path in folder.glob("*/modules.order"))
    if not versions:
        told = done.stderr.decode(errors="replace").strip()
        raise BuildError(f"{package.name} holds no modules: {told[-200:]}")
    for version in versions:
        run(["depmod", "-b", root, version])


def _add_libraries(root: Path, archive: cpio.Writer) -> None:
    """Add the libraries that the root's busybox is linked with."""
    loader = next(root.glob("lib64/ld-linux*"), None)
    if loader is None:
        raise BuildError("the Debian root has no dynamic loader")
    listed = run(
        ["chroot", root, f"/lib64/{loader.name}", "--list", "/bin/busybox"],
    )
    folders: set[str] = set()
    for path in sorted({*re.findall(r"(/\S+) \(0x", listed), f"/lib64/{loader.name}"}):
        folder = path.strip("/").rpartition("/")[0]
        parts = folder.split("/")
        for depth in range(1, len(parts) + 1):
            ancestor = "/".join(parts[:depth])
            if ancestor not in folders:
                folders.add(ancestor)
                archive.folder(ancestor)
        # Links are followed below `root`, where all of them end in /usr.
        archive.file(path.strip("/"), _content(root, path), 0o755)


def _content(root: Path, path: str) -> bytes:
    real = run(["chroot", root, "/usr/bin/readlink", "-f", path]).strip()
    return (root / real.lstrip("/")).read_bytes()


def _canonical(name: str) -> str:
    return name.partition(" ")[0].replace("-", "_")
