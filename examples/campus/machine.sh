#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Makes a machine what the policy of its PROFILE says, which the SERVER has. Both come
# from campus.yaml. Run again, it changes what the policy changed.

set -eu

progress "Asking $SERVER what a machine of the profile $PROFILE is"
tries=0
until policy=$(busybox wget -q -O - "http://$SERVER/$PROFILE"); do
    tries=$((tries + 1))
    if [ "$tries" -ge 30 ]; then
        echo "machine: the server at $SERVER does not answer"
        exit 1
    fi
    sleep 1
done

printf '%s\n' "$policy" | while read -r setting value; do
    case $setting in
    host) file line /etc/hosts "$value" ;;
    motd) printf '%s\n' "$value" | file put /etc/motd ;;
    board)
        mkdir -p /srv/board
        ln -sf /etc/motd /srv/board/index.html
        service create board busybox httpd -f -p "$value" -h /srv/board
        service enable board
        service start board
        ;;
    *)
        echo "machine: the policy has an unknown setting: $setting"
        exit 1
        ;;
    esac
done
output profile "$PROFILE"
echo "machine: $(property get hostname) is a machine of the profile $PROFILE"
