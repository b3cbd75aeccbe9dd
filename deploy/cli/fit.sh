#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Says what keeps a machine without Python from a deployment; preflight.py sees more,
# but Python would have to be installed for it.
#
#   fit.sh OS_RELEASE MEMINFO FOLDER MEMORY_MB DISK_GB
#
# A line for each fault; exit status 1 if there is any.
set -eu
release=$1 meminfo=$2 folder=$3 memory_mb=$4 disk_gb=$5
faults=0
fault() {
    echo "  - $1"
    faults=1
}

if [ "$(id -u)" != 0 ]; then
    fault "not root; run it with sudo"
fi
system=$(. "$release" && echo "${ID:-} ${VERSION_ID:-}") 2>/dev/null || system=
case $system in
    "debian 12") ;;
    *) fault "this is ${system:-an unknown system}; supported: debian 12" ;;
esac
present=$(awk '/^MemTotal:/ { print int($2 / 1024) }' "$meminfo")
if [ "$present" -lt "$memory_mb" ]; then
    fault "$present MB of memory; the cloud needs $memory_mb MB"
fi
free=$(df -Pk "$folder" | awk 'NR == 2 { print int($4 / 1048576) }')
if [ "$free" -lt "$disk_gb" ]; then
    fault "$free GB of disk are free at $folder; the cloud needs $disk_gb GB"
fi
exit $faults
