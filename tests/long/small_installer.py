# SPDX-License-Identifier: Apache-2.0
"""A small installer, as a netboot archive: what Debian's does, in some seconds.

It boots the kernel of the cloud's own image, reads the preseed file in its initial RAM
disk, writes a system to the disk, does what was answered, and switches off. The system
boots from the disk by GRUB, and tells on its console what it was told.
"""

from __future__ import annotations

import gzip
import io
import subprocess
import tarfile
from pathlib import Path

from nova_multi import cpio

#: Bytes of a sector, sectors of the disk, and those before its one partition.
_SECTOR, _SECTORS, _BEGIN = 512, 40 * 2048, 2048
#: Where a partition table is in the first sector, and what a Linux partition is.
_TABLE, _LINUX = 446, 0x83
_GRUB = ("biosdisk", "part_msdos", "ext2", "linux", "boot")
#: Of a disk's first sector: where the first instruction, the table, and the mark are.
_APT = ("-qq", "-o=Debug::NoLocking=1", "-o=APT::Sandbox::User=root")

_BEGIN_OF_INIT = """\
#!/bin/busybox sh
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
busybox --install -s /bin
while read -r module options; do
    insmod "/modules/$module" $options
done </modules/order
"""
_INSTALL = (
    _BEGIN_OF_INIT
    + """\
answer() {
    # The last one counts.
    found=
    while read -r owner question type value; do
        [ "$question" != "$1" ] || found=$value
    done </preseed.cfg
    echo "$found"
}
echo "Detecting hardware"
until [ -b /dev/vda ]; do usleep 100000; done
if [ "$(answer small/hang)" = true ]; then
    echo "Waiting for somebody to answer"
    while :; do sleep 1; done
fi
echo "Installing the system"
zcat /system.gz >/dev/vda && blockdev --rereadpt /dev/vda
until [ -b /dev/vda1 ]; do usleep 100000; done
mkdir -p /target && mount -t ext4 /dev/vda1 /target
answer netcfg/get_hostname >/target/etc/hostname
answer time/zone >/target/etc/timezone
echo "Finishing the installation"
sh -c "$(answer preseed/late_command)"
umount /target
sync
[ "$(answer debian-installer/exit/poweroff)" != true ] || poweroff -f
while :; do sleep 60; done
"""
)
_SYSTEM = """\
#!/bin/busybox sh
export PATH=/bin
told=$(cat /etc/late /root/.ssh/authorized_keys 2>/dev/null | tr '\\n' ' ')
echo "installed: $(cat /etc/hostname) $(cat /etc/timezone) $told" >/dev/console
while :; do sleep 60; done
"""


def make(kernel: bytes, ramdisk: bytes, folder: Path) -> bytes:
    """The netboot archive.

    :param kernel: that virtual machines of the cloud boot.
    :param ramdisk: with busybox and what the kernel needs, not packed.
    :param folder: for what is made on the way.
    """
    system = gzip.compress(_disk(kernel, ramdisk, folder), 1)
    files = {"init": (_INSTALL.encode(), 0o755), "system.gz": (system, 0o600)}
    installer = ramdisk + b"\0" * (-len(ramdisk) % cpio.ALIGNMENT)
    installer += cpio.archive(files)
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as archive:
        for name, content in (("linux", kernel), ("initrd.gz", installer)):
            member = tarfile.TarInfo(f"./small-installer/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return target.getvalue()


def _disk(kernel: bytes, ramdisk: bytes, folder: Path) -> bytes:
    """A disk with a boot loader and the system's partition."""
    boot, core = _boot_loader(folder)
    size = _SECTORS - _BEGIN
    first = bytearray(boot[:_SECTOR].ljust(_SECTOR, b"\0"))
    entry = bytes([0x80, 0, 0, 0, _LINUX, 0, 0, 0])
    entry += _BEGIN.to_bytes(4, "little") + size.to_bytes(4, "little")
    first[_TABLE : _TABLE + 64] = entry.ljust(64, b"\0")
    first[510:512] = b"\x55\xaa"
    head = bytes(first) + core
    assert len(head) <= _BEGIN * _SECTOR
    return head.ljust(_BEGIN * _SECTOR, b"\0") + _partition(kernel, ramdisk, folder)


def _boot_loader(folder: Path) -> tuple[bytes, bytes]:
    """First sector and core of GRUB for BIOSes, from the machine's packages."""
    packages = ("grub-pc-bin", "grub-common")
    _run(["apt-get", *_APT, "download", *packages], folder)
    for package in packages:
        (path,) = folder.glob(f"{package}_*.deb")
        _run(["dpkg-deb", "--extract", str(path), "grub"], folder)
    modules = folder / "grub/usr/lib/grub/i386-pc"
    config = folder / "embedded.cfg"
    config.write_text(
        "set root=(hd0,msdos1)\n"
        "linux /vmlinuz root=/dev/vda1 console=ttyS0 quiet panic=10\n"
        "initrd /initrd\n"
        "boot\n"
    )
    _run(
        [
            *("grub/usr/bin/grub-mkimage", "--format=i386-pc", "--prefix=/grub"),
            *(f"--directory={modules}", f"--config={config}", "--output=core.img"),
            *_GRUB,
        ],
        folder,
    )
    return (modules / "boot.img").read_bytes(), (folder / "core.img").read_bytes()


def _partition(kernel: bytes, ramdisk: bytes, folder: Path) -> bytes:
    """The system: busybox of the RAM disk, and an init of its own."""
    root = folder / "root"
    for name, content, mode in _entries(ramdisk):
        if not name.startswith(("bin", "lib")):
            continue
        path = root / name
        if mode & 0o170000 == 0o040000:
            path.mkdir(parents=True, exist_ok=True)
        elif mode & 0o170000 == 0o120000:
            path.symlink_to(content.decode())
        else:
            path.write_bytes(content)
            path.chmod(mode & 0o777)
    for name in ("etc", "sbin", "dev", "proc", "sys", "root"):
        (root / name).mkdir()
    for applet in ("sh", "cat", "tr", "sleep", "echo"):
        (root / "bin" / applet).symlink_to("busybox")
    (root / "vmlinuz").write_bytes(kernel)
    (root / "initrd").write_bytes(ramdisk)
    (root / "sbin/init").write_text(_SYSTEM)
    (root / "sbin/init").chmod(0o755)
    path = folder / "partition.img"
    with path.open("wb") as file:
        file.truncate((_SECTORS - _BEGIN) * _SECTOR)
    words = ["mkfs.ext4", "-q", "-F", "-O", "^has_journal,^64bit,^metadata_csum"]
    _run([*words, "-d", str(root), str(path)], folder)
    return path.read_bytes()


def _entries(ramdisk: bytes) -> list[tuple[str, bytes, int]]:
    """Name, content and mode of what a "newc" archive holds."""
    found = []
    at = 0
    while ramdisk[at : at + 6] == b"070701":
        fields = [
            int(ramdisk[at + 6 + 8 * number : at + 14 + 8 * number], 16)
            for number in range(13)
        ]
        size, length = fields[6], fields[11]
        name = ramdisk[at + 110 : at + 110 + length - 1].decode()
        at += (110 + length + 3) // 4 * 4
        if name == "TRAILER!!!":
            break
        found.append((name, ramdisk[at : at + size], fields[1]))
        at += (size + 3) // 4 * 4
    assert found, "the RAM disk is no cpio archive that is not packed"
    return found


def _run(words: list[str], folder: Path) -> None:
    done = subprocess.run(
        words, cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{words}: {done.stderr}{done.stdout}"
