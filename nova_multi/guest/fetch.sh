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

nm_download() {
    no_proxy=$nm_host
    export no_proxy
    if nm_has curl; then
        curl -s -f -m 30 "http://$nm_host:$nm_port$nm_path"
    elif nm_has wget; then
        # No -T: busybox 1.35, in Debian 12, dies of it.
        nm_for_a_while wget -q -O - "http://$nm_host:$nm_port$nm_path"
    elif nm_has busybox; then
        nm_for_a_while busybox wget -q -O - "http://$nm_host:$nm_port$nm_path"
    elif nm_has bash; then
        nm_for_a_while bash -c 'exec 3<> "/dev/tcp/$0/$1" &&
            printf "GET %s HTTP/1.0\r\nHost: %s\r\n\r\n" "$2" "$0" >&3 &&
            cat <&3' "$nm_host" "$nm_port" "$nm_path"
    elif nm_has python3; then
        python3 -c 'import sys, urllib.request as request
print(request.urlopen(sys.argv[1], timeout=30).read().decode())' \
            "http://$nm_host:$nm_port$nm_path"
    else
        nm_give_up "the image has nothing to fetch with: curl, wget, busybox, bash or python3"
    fi
}

# The payload, or the reason why there is none after an exclamation mark.
nm_picked() {
    sed -n -e 's/.*"nova_multi_payload": *"\([^"]*\)".*/\1/p' \
        -e 's/.*"nova_multi_refused": *"\([^"]*\)".*/!\1/p'
}

# Nova may not know yet whom to ask, and the network may just come up.
nm_fetch() {
    nm_why="nothing answers at the metadata address $nm_host"
    nm_tries=0
    while [ "$nm_tries" -lt 110 ]; do
        nm_tries=$((nm_tries + 1))
        nm_text=$(nm_download 2> /dev/null)
        case $nm_text in
        "@nova-multi "*)
            printf '%s\n' "$nm_text"
            exit 1
            ;;
        ?*) nm_why="the metadata address has nothing for this guest" ;;
        esac
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
