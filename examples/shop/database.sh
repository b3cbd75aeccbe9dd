#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# A database in the widest sense: it gives one value to whoever knows the password.
# GREETING and PASSWORD come from shop.yaml.

set -eu

mkdir -p "/srv/database/$PASSWORD"
printf '%s\n' "$GREETING" | file put "/srv/database/$PASSWORD/greeting"
service create database busybox httpd -f -p 8000 -h /srv/database
service enable database
service start database
echo "database: it answers on port 8000"
