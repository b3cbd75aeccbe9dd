#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A part of report.sh where user-data does not have all of it: fetches the rest, such as
# secrets, from the metadata address, with whatever the guest has for that. Nova asks the
# provisioning service for it; the guest needs no way there.

nm_host=169.254.169.254
nm_port=80
nm_path=/openstack/latest/vendor_data2.json

nm_has() {
    command -v "$1" > /dev/null 2>&1
}

# What may hang is ended, where there is something to end it.
nm_for_a_while() {
    if nm_has timeout; then timeout 30 "$@"; else "$@"; fi
}

# Prints nothing where there is no answer. What has a name need not do all of it: some
# images have a small program for curl, and busybox 1.35 (Debian 12) dies of wget's -T.
nm_download() {
    no_proxy=$nm_host
    export no_proxy
    nm_url=http://$nm_host:$nm_port$nm_path
    nm_with curl -s -f -m 30 "$nm_url" ||
        nm_with wget -q -O - "$nm_url" ||
        nm_with busybox wget -q -O - "$nm_url" ||
        nm_with bash -c 'exec 3<> "/dev/tcp/$0/$1" &&
            printf "GET %s HTTP/1.0\r\nHost: %s\r\n\r\n" "$2" "$0" >&3 &&
            cat <&3' "$nm_host" "$nm_port" "$nm_path" ||
        nm_with python3 -c 'import sys, urllib.request as request
print(request.urlopen(sys.argv[1], timeout=30).read().decode())' "$nm_url"
}

# What a program prints, if there is one of that name and it goes well.
nm_with() {
    nm_has "$1" || return 1
    nm_answer=$(nm_for_a_while "$@") && [ -n "$nm_answer" ] && printf '%s\n' "$nm_answer"
}

# The payload, or the reason why there is none after an exclamation mark.
nm_picked() {
    sed -n -e 's/.*"nova_multi_payload": *"\([^"]*\)".*/\1/p' \
        -e 's/.*"nova_multi_refused": *"\([^"]*\)".*/!\1/p'
}

# Nova may not know yet whom to ask, and the network may just come up.
nm_fetch() {
    nm_why="nothing answers at the metadata address $nm_host"
    nm_can=
    for nm_each in curl wget busybox bash python3; do
        if nm_has "$nm_each"; then nm_can=$nm_each; fi
    done
    [ -n "$nm_can" ] ||
        nm_give_up "the image has nothing to fetch with: curl, wget, busybox, bash or python3"
    nm_tries=0
    while [ "$nm_tries" -lt 110 ]; do
        nm_tries=$((nm_tries + 1))
        nm_text=$(nm_download 2> /dev/null)
        [ -z "$nm_text" ] || nm_why="the metadata address has nothing for this guest"
        nm_text=$(printf '%s\n' "$nm_text" | nm_picked)
        case $nm_text in
        '!'*) nm_give_up "${nm_text#!}" ;;
        "# %MARK%="*) return ;;
        esac
        if [ "$nm_tries" -le 20 ]; then sleep 1; else sleep 3; fi
    done
    nm_give_up "what user-data has no room for did not come: $nm_why"
}

nm_say phase fetch
nm_fetch
nm_say received
nm_text=$(printf '%s' "$nm_text" | sed 's/=/\\0/g')
(umask 077 && printf '%b' "$nm_text" > "$nm_dir/payload")
nm_text=
. "$nm_dir/payload"
rm -f "$nm_dir/payload"
[ -n "$nm_whole" ] || nm_give_up "what was fetched is not whole: is there no room?"
