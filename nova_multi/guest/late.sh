#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Runs at the end of an installation with Debian's installer, in its own file system;
# the new system is in /target. Tells on the console how it went: see console.py.

here=${0%/*}
target=${NM_TARGET:-/target}
console=${NM_CONSOLE:-/dev/console}

install_key() {
    [ -s "$here/authorized_keys" ] || return 0
    mkdir -p "$target/root/.ssh" &&
        chmod 700 "$target/root/.ssh" &&
        cat "$here/authorized_keys" >>"$target/root/.ssh/authorized_keys" &&
        chmod 600 "$target/root/.ssh/authorized_keys"
}

status=0
if [ -s "$here/late-command" ]; then
    sh "$here/late-command" || status=$?
fi
if [ "$status" = 0 ]; then
    install_key || status=$?
fi
# On a line of its own, whatever stands on the console.
printf '\n@nova-multi %s 1 exit %s\n' '%NONCE%' "$status" >"$console"
if [ "$status" != 0 ]; then
    # The installer would show a dialog, and nobody would answer it.
    sync
    sleep 1
    poweroff -f
fi
exit "$status"
