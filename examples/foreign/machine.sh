#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# A page that tells which kind of processor its machine has. The same on each of them:
# a shell script does not mind.

set -eu

architecture=$(uname -m)
root=/srv/www
progress "Making a page on $architecture"
mkdir -p "$root"
echo "$(uname -n) has a processor of the kind $architecture" >"$root/index.html"

# The page comes back when the guest is rebooted: its init runs this file.
cat >/etc/rc.local <<START
#!/bin/sh
busybox wget -q -O /dev/null http://127.0.0.1/ 2>/dev/null ||
    busybox httpd -p 80 -h $root
START
chmod 0755 /etc/rc.local
/etc/rc.local
output architecture "$architecture"
echo "machine: $(cat "$root/index.html")"
