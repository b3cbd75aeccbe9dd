#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# A web server with a page out of the database. DATABASE is its address, and PASSWORD
# opens it; both come from shop.yaml.

set -eu

root=/srv/www
name=$(uname -n)
mkdir -p "$root"

echo "site: asking the database at $DATABASE"
tries=0
until greeting=$(busybox wget -q -O - "http://$DATABASE:8000/$PASSWORD/greeting"); do
    tries=$((tries + 1))
    if [ "$tries" -ge 30 ]; then
        echo "site: the database does not answer"
        exit 1
    fi
    sleep 1
done

cat >"$root/index.html" <<PAGE
<!DOCTYPE html>
<html lang="en">
<title>Shop</title>
<h1>$greeting</h1>
<p>Served by $name, with a database at $DATABASE.</p>
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
echo "site: $name is ready"
