#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# A web server with a page out of the database. DATABASE is its address, and PASSWORD
# opens it; both come from shop.yaml.

set -eu

progress "Asking the database at $DATABASE"
tries=0
until GREETING=$(busybox wget -q -O - "http://$DATABASE:8000/$PASSWORD/greeting"); do
    tries=$((tries + 1))
    if [ "$tries" -ge 30 ]; then
        echo "site: the database does not answer"
        exit 1
    fi
    sleep 1
done
NAME=$(property get hostname)
export GREETING NAME

template <<'PAGE' | file put /srv/www/index.html
<!DOCTYPE html>
<html lang="en">
<title>Shop</title>
<h1>{{GREETING}}</h1>
<p>Served by {{NAME}}, with a database at {{DATABASE}}.</p>
</html>
PAGE
service create site busybox httpd -f -p 80 -h /srv/www
service enable site
service start site
echo "site: $NAME is ready"
