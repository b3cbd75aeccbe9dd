#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A provisioner's script that uses all of the helper library, and tells what came of it.
set -eu
progress "Installing"
repository add local debian:file:/srv/repository suite=stable key=/srv/repository/key.asc
package install debian:it-hello
package installed it-hello busybox
output package "$(it-hello)"
package remove it-hello
! package installed it-hello
repository remove local
[ ! -e /etc/apt/sources.list.d/local.list ]

progress "Making users and files"
for time in once again; do
    user add keeper home=/srv/keeper groups=keepers key="ssh-ed25519 AAAA keeper"
    file line /etc/keeper.conf "made $time"
    file line /etc/keeper.conf "kept"
done
output user "$(stat -c '%U %a' /srv/keeper/.ssh/authorized_keys) $(id -Gn keeper)"
output lines "$(tr '\n' ' ' < /etc/keeper.conf)"
file line /etc/hosts "203.0.113.1 name.example"
output host "$(grep -c name.example /etc/hosts)"
VALUE='a & \1 {{VALUE}} $(id)'
export VALUE
echo '[{{VALUE}}] {{GREETING}}' | template | file put /srv/www/index.html 0640 keeper:keepers
output file "$(stat -c '%U:%G %a' /srv/www/index.html)"
output text "$(cat /srv/www/index.html)"
! echo '{{NOBODY}}' | template > /dev/null

progress "Starting a service"
service create it-site busybox httpd -f -p 80 -h /srv/www
service enable it-site
service start it-site
service status it-site
sleep 1
output page "$(busybox wget -q -O - http://127.0.0.1/)"
service restart it-site
service stop it-site
! service status it-site

for name in hypervisor os os_family init uuid address memory cpus; do
    output "$name" "$(property get "$name")"
done
