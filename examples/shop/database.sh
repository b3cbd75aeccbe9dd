#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# A database in the widest sense: it gives one value to whoever knows the password.
# GREETING and PASSWORD come from shop.yaml.

set -eu

root=/srv/database
mkdir -p "$root/$PASSWORD"
printf '%s\n' "$GREETING" >"$root/$PASSWORD/greeting"

# The database comes back when the guest is rebooted: its init runs this file.
cat >/etc/rc.local <<START
#!/bin/sh
busybox wget -q -O /dev/null http://127.0.0.1:8000/ready 2>/dev/null ||
    busybox httpd -p 8000 -h $root
START
chmod 0755 /etc/rc.local
echo ready >"$root/ready"
/etc/rc.local
echo "database: it answers on port 8000"
