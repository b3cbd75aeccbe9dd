#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Provisioner of the integration tests: its name over HTTP, and an echo over UDP.
set -eu
echo "made $(uname -n) for $GREETING"
root=/srv/www
mkdir -p "$root"
uname -n >"$root/hostname"
cat >/etc/rc.local <<'START'
#!/bin/sh
busybox wget -q -O /dev/null http://127.0.0.1/hostname 2>/dev/null && exit 0
busybox httpd -p 80 -h /srv/www
# Debian's busybox has no server for UDP; perl-base is essential there.
perl -MSocket -e '
    socket(S, PF_INET, SOCK_DGRAM, 17);
    bind(S, sockaddr_in(53, INADDR_ANY)) or die;
    while (my $peer = recv(S, my $text, 1500, 0)) {
        send(S, "echo $text", 0, $peer);
    }' </dev/null >/dev/null 2>&1 &
START
chmod 0755 /etc/rc.local
/etc/rc.local
