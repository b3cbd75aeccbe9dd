#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# What becomes of a desk. It runs every morning, on the disk of the evening before if
# there is one: what it makes is made once, and what is there is left as it is.

set -eu

root=/srv/desk
mkdir -p "$root"
[ -e "$root/diary" ] || echo "an empty diary" >"$root/diary"
date -u '+made at %Y-%m-%d %H:%M:%S UTC' >>"$root/diary"

# The desk comes back when the guest is rebooted: its init runs this file.
cat >/etc/rc.local <<START
#!/bin/sh
busybox wget -q -O /dev/null http://127.0.0.1:8000/diary 2>/dev/null ||
    busybox httpd -p 8000 -h $root
START
chmod 0755 /etc/rc.local
/etc/rc.local
echo "desk: mornings so far: $(grep -c '^made at' "$root/diary")"
