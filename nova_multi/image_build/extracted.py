# SPDX-License-Identifier: Apache-2.0
"""What packages' own scripts would have made, where none of them is run.

Enough for a system of busybox: accounts, a shell, and a name for each command of
busybox that nothing else brought.
"""

from __future__ import annotations

from pathlib import Path

#: Commands of Debian's static busybox that a small system is run with.
_COMMANDS = """
[ ash awk base64 basename blkid cat chgrp chmod chown chroot clear cmp cp cut
date dd df dirname dmesg du echo env expr false find free getty grep gunzip gzip
halt head hostname httpd id ifconfig init insmod ip kill killall less ln logger
login losetup ls lsmod md5sum mkdir mkfifo mknod mktemp modprobe more mount mv
nc netstat nslookup od passwd pgrep pidof ping ping6 pivot_root poweroff printf
ps pwd readlink realpath reboot rm rmdir rmmod route run-parts sed seq setsid sh
sha256sum sha512sum sleep sort stat stty su switch_root sync syslogd tail tar
tee test time timeout top touch tr traceroute true tty udhcpc umount uname uniq
uptime vi wc wget which xargs xz yes zcat
"""
_PLACES = ("usr/bin", "usr/sbin", "usr/local/bin")
_MASTER = "usr/share/base-passwd"


def complete(root: Path) -> None:
    """Make an unpacked root one that boots with busybox."""
    for name in ("passwd", "group"):
        master = root / _MASTER / f"{name}.master"
        target = root / "etc" / name
        if master.exists() and not target.exists():
            # Debian's own shell for root may not be there.
            target.write_text(master.read_text().replace("/bin/bash", "/bin/sh"))
            target.chmod(0o644)
    for name in ("etc", "root", "run", "tmp", "var/log", "var/tmp", "usr/bin"):
        (root / name).mkdir(parents=True, exist_ok=True)
    for name in ("tmp", "var/tmp"):
        (root / name).chmod(0o1777)
    for name in ("var/run", "var/lock"):
        target = root / name
        if not target.exists() and not target.is_symlink():
            target.symlink_to("/run" if name == "var/run" else "/run/lock")
    if not (root / "usr/bin/busybox").exists():
        return
    for name in _COMMANDS.split():
        present = [root / place / name for place in _PLACES]
        if not any(path.exists() or path.is_symlink() for path in present):
            (root / "usr/bin" / name).symlink_to("busybox")
