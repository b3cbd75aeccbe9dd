#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Runs before a container's own command where the image has no cloud-init: the server's
# key pair and, once in the life of the server, its user-data. Then becomes the command
# that it was given. Plain POSIX sh: the image may have nothing but a small busybox.
#
# A script that fails does not keep the server from running, as under cloud-init; its
# output and its exit status are on the console.

here=${0%/*}
state=/etc/nova-multi
read -r uuid < "$here/instance-uuid"

say() {
    echo "[nova-multi] $*"
}

if [ -f "$here/authorized_keys" ]; then
    home=${HOME:-/root}
    [ "$home" = / ] && home=/root
    if ! grep -qsF "$(cat "$here/authorized_keys")" "$home/.ssh/authorized_keys"; then
        (umask 077 && mkdir -p "$home/.ssh" &&
            cat "$here/authorized_keys" >> "$home/.ssh/authorized_keys") ||
            say "the key pair could not be stored in $home/.ssh"
    fi
fi

# The mark names the server, so that a snapshot booted as another server runs its own.
if [ ! -d "$here/scripts" ] || grep -qsx "$uuid" "$state/user-data-done"; then
    :
else
    for script in "$here"/scripts/*; do
        [ -f "$script" ] || continue
        name=${script##*/}
        say "user-data $name: started"
        (
            cd / || exit 1
            exec "$script"
        ) < /dev/null
        say "user-data $name: ended with exit status $?"
    done
    mkdir -p "$state" && echo "$uuid" > "$state/user-data-done" ||
        say "user-data will run again at the next start: $state can't be written"
fi

[ $# -gt 0 ] || exit 0
exec "$@"
