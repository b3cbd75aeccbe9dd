# SPDX-License-Identifier: Apache-2.0
"""The kernel and the initial RAM disk of virtual machines."""

import lzma
import re
import shutil
import subprocess
import tarfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from toolbox import ToolError, run

from guest_image import cpio
from guest_image.recipe import Recipe


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
        raise ToolError(f"{package.name} holds no kernel")
    return Modules(modules, frozenset(built_in))


def command_line(recipe: Recipe, modules: Modules) -> str:
    """The recipe's command line, and what modules in the kernel are told there."""
    words = [recipe.command_line]
    for entry in recipe.modules:
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

    :raises ToolError: the kernel has no such module
    """
    order: list[str] = []

    def add(name: str) -> None:
        if name in order or name in modules.built_in:
            return
        if name not in modules.files:
            raise ToolError(f"the kernel has no module {name}")
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
    options = dict(entry.partition(" ")[::2] for entry in recipe.modules)
    order = load_order(options, modules)
    options = {_canonical(name): value for name, value in options.items()}
    with target.open("wb") as stream, cpio.Writer(stream, recipe.epoch) as archive:
        for folder in ("bin", "dev", "modules", "proc", "root", "sys"):
            archive.folder(folder)
        archive.node("dev/console", 5, 1)
        archive.file("init", recipe.initramfs.read_bytes(), 0o755)
        archive.file("bin/busybox", (root / "bin/busybox").read_bytes(), 0o755)
        for applet in ("insmod", "mount", "poweroff", "switch_root", "usleep"):
            archive.link(f"bin/{applet}", "busybox")
        _add_libraries(root, archive)
        for name in order:
            archive.file(f"modules/{name}", modules.files[name])
        lines = [f"{name} {options.get(name, '')}".rstrip() for name in order]
        archive.file("modules/order", ("\n".join(lines) + "\n").encode())


def _add_libraries(root: Path, archive: cpio.Writer) -> None:
    """Add the libraries that the root's busybox is linked with."""
    loader = next(root.glob("lib64/ld-linux*"), None)
    if loader is None:
        raise ToolError("the Debian root has no dynamic loader")
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
