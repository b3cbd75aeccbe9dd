#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# A small web site, made by one and the same script on Docker, LXD and libvirt.
# Give it as user-data:
#
#   openstack server create --user-data examples/site.sh ...
#
# Needs a shell and busybox in the guest. Says on the console what it does; its
# last line there is "site: ready at SECONDS", the time since 1970.

set -eu

root=/srv/www
name=$(uname -n)

hypervisor() {
    # What the guest itself can see of where it runs.
    if [ -e /.dockerenv ]; then
        echo docker
    elif tr '\0' '\n' 2>/dev/null </proc/1/environ | grep -q '^container=lxc'; then
        echo lxd
    elif grep -q '^flags.* hypervisor' /proc/cpuinfo; then
        echo "virtual machine"
    else
        echo unknown
    fi
}

kind=$(hypervisor)
echo "site: making $name on $kind"

mkdir -p "$root"
cat >"$root/index.html" <<PAGE
<!DOCTYPE html>
<html lang="en">
<title>$name on $kind</title>
<h1>$name</h1>
<p>Hypervisor seen from within: $kind</p>
<p>Made: $(date -u '+%Y-%m-%d %H:%M:%S') UTC</p>
</html>
PAGE

# The site comes back when the guest is rebooted: its init runs this file.
cat >/etc/rc.local <<START
#!/bin/sh
busybox wget -q -O /dev/null http://127.0.0.1/ 2>/dev/null ||
    busybox httpd -p 80 -h $root
START
chmod 0755 /etc/rc.local
/etc/rc.local

tries=0
until busybox wget -q -O /dev/null http://127.0.0.1/; do
    tries=$((tries + 1))
    if [ "$tries" -ge 20 ]; then
        echo "site: the web server does not answer"
        exit 1
    fi
    sleep 0.2
done
echo "site: ready at $(date +%s)"
