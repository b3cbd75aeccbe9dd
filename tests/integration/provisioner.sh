#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# User-data of the integration tests: a site that tells what the guest sees.
set -eu
root=/srv/www
mkdir -p "$root"
echo "provisioner: run in $(uname -n)"
uname -n >"$root/hostname"
# Counts how often user-data was run in this file system.
echo run >>"$root/runs"
busybox wget -q -O "$root/metadata" \
    http://169.254.169.254/openstack/latest/meta_data.json ||
    rm -f "$root/metadata"
# The config drive itself, where the server has one: a folder in a container, else a
# disk. What the metadata service says does not count here.
drive=/var/lib/cloud/seed/config_drive
if [ ! -d "$drive" ]; then
    device=$(blkid -t LABEL=config-2 -o device | head -n 1)
    drive=
    if [ -n "$device" ]; then
        drive=/run/config-drive
        mkdir -p "$drive"
        busybox mount -o ro "$device" "$drive"
    fi
fi
rm -f "$root/config-drive"
[ -z "$drive" ] || cat "$drive/openstack/latest/meta_data.json" >"$root/config-drive"
cat >/etc/rc.local <<'START'
#!/bin/sh
root=/srv/www
busybox wget -q -O /dev/null http://127.0.0.1/hostname 2>/dev/null && exit 0
echo boot >>$root/boots
# A hard reboot, as a power cut, takes what is not on the disk.
sync
busybox httpd -p 80 -h $root
(
    while :; do
        busybox ip address show >$root/addresses.new 2>&1
        mv $root/addresses.new $root/addresses
        sleep 1
    done
) >/dev/null 2>&1 &
START
chmod 0755 /etc/rc.local
/etc/rc.local
echo "provisioner: done"
