#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Runs a provisioner's script and reports on the console how it goes, in lines that
# begin with a mark and a number that counts up:
#
#   @nova-multi NONCE 1 begin
#   @nova-multi NONCE 2 phase run
#   @nova-multi NONCE 3 log a line that the script wrote
#   @nova-multi NONCE 4 exit 0
#   @nova-multi NONCE 5 end
#
# Plain POSIX sh: the guest may have nothing but a small busybox.

nm_nonce='%NONCE%'
nm_count=0

nm_say() {
    nm_count=$((nm_count + 1))
    printf '@nova-multi %s %s %s\n' "$nm_nonce" "$nm_count" "$*"
}

nm_say begin
nm_dir=$(mktemp -d 2>/dev/null) || {
    nm_dir=/tmp/nova-multi.$nm_nonce
    (umask 077 && mkdir -p "$nm_dir")
}
(umask 077 && cat > "$nm_dir/script") <<'%NONCE%-END'
%SCRIPT%
%NONCE%-END
chmod 0700 "$nm_dir/script" || nm_say log "the script can't be kept in $nm_dir"

nm_say phase run
# The script's output passes line by line, so that a console that others write to as
# well can be told apart; its exit status travels in a file.
{
    (
        cd / || exit 1
%VARIABLES%
        exec "$nm_dir/script"
    ) < /dev/null 2>&1
    echo $? > "$nm_dir/status"
} | {
    while IFS= read -r nm_line || [ -n "$nm_line" ]; do
        nm_say log "$nm_line"
    done
    read -r nm_status < "$nm_dir/status" || nm_status=1
    nm_say exit "$nm_status"
    nm_say end
    exit "$nm_status"
}
nm_status=$?
rm -rf "$nm_dir"
exit "$nm_status"
