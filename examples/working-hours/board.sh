#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# A notice board with the diary of the desk. DESK is its address, from office.yaml.

set -eu

root=/srv/www
mkdir -p "$root"
tries=0
until busybox wget -q -O "$root/index.html" "http://$DESK:8000/diary"; do
    tries=$((tries + 1))
    if [ "$tries" -ge 30 ]; then
        echo "board: the desk at $DESK does not answer"
        exit 1
    fi
    sleep 1
done

# The board comes back when the guest is rebooted: its init runs this file.
cat >/etc/rc.local <<START
#!/bin/sh
busybox wget -q -O /dev/null http://127.0.0.1/ 2>/dev/null ||
    busybox httpd -p 80 -h $root
START
chmod 0755 /etc/rc.local
/etc/rc.local
echo "board: $(wc -l <"$root/index.html") lines"
