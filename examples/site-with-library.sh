#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# The same small web site as site.sh, made with the helper library of provisioners'
# scripts. Give it to a provisioner:
#
#   openstack multi provisioner create site --script examples/site-with-library.sh ...
#
# Needs a busybox with httpd, and fetches nothing. TITLE is the page's title.
# `openstack multi instance show` tells the outputs.

set -eu

: "${TITLE:=$(property get hostname)}"
KIND=$(property get hypervisor)
MADE=$(date -u '+%Y-%m-%d %H:%M:%S')
export TITLE KIND MADE

progress "Making $TITLE on $KIND"
package install busybox
template <<'PAGE' | file put /srv/www/index.html 0644
<!DOCTYPE html>
<html lang="en">
<title>{{TITLE}} on {{KIND}}</title>
<h1>{{TITLE}}</h1>
<p>Hypervisor seen from within: {{KIND}}</p>
<p>Made: {{MADE}} UTC</p>
</html>
PAGE

progress "Starting the web server"
service create site busybox httpd -f -p 80 -h /srv/www
service enable site
service start site

tries=0
until busybox wget -q -O /dev/null http://127.0.0.1/; do
    tries=$((tries + 1))
    if [ "$tries" -ge 20 ]; then
        echo "site: the web server does not answer"
        exit 1
    fi
    sleep 0.2
done

output url "http://$(property get address)/"
output made "$MADE"
echo "site: ready at $(date +%s)"
