#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Installs Python, having noted in the manifest which packages come with it.
#
#   python.sh MANIFEST
set -eu
manifest=$1
export DEBIAN_FRONTEND=noninteractive
install="apt-get install -q -y -f --no-install-recommends python3 python3-venv"
dpkg --configure -a
apt-get update -q
# Noted before they are there, so that a killed installation is known too.
names=$($install --simulate | awk '$1 == "Inst" { sub(":.*", "", $2); print "\"" $2 "\"" }' |
    sort -u | paste -s -d , -)
if [ -n "$names" ]; then
    mkdir -p "${manifest%/*}"
    (umask 0077 && echo "{\"kind\": \"python\", \"names\": [$names]}" >>"$manifest")
fi
$install
