#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Runs a provisioner's script and reports on the console how it goes, in lines that
# begin with a mark and a number that counts up:
#
#   @nova-multi NONCE 1 begin SECONDS since 1970, by the guest's clock
#   @nova-multi NONCE 2 phase run
#   @nova-multi NONCE 3 received, once it has what it fetches besides (fetch.sh)
#   @nova-multi NONCE 4 log a line that the script wrote
#   @nova-multi NONCE 5 progress what it is doing
#   @nova-multi NONCE 6 output NAME value, with \n and \\ for newlines and backslashes
#   @nova-multi NONCE 7 timeout SECONDS, if it was ended for its time limit
#   @nova-multi NONCE 8 exit 0 SECONDS since 1970
#   @nova-multi NONCE 9 end
#
# The script's output, and what the commands of commands.sh tell, come through one
# fifo, so that they keep their order. The commands know a mark of their own, and not
# the nonce: with it this file says how the script ended. Nothing of it is in the
# script's environment or files.
#
# Plain POSIX sh: the guest may have nothing but a small busybox.

nm_nonce='%NONCE%'
nm_mark='%MARK%'
nm_limit='%TIMEOUT%'
nm_count=0
nm_dir=

nm_say() {
    nm_count=$((nm_count + 1))
    printf '@nova-multi %s %s %.4000s\n' "$nm_nonce" "$nm_count" "$*"
}

nm_now() {
    date +%s 2>/dev/null
}

# What is not to stay: secrets may have come already.
nm_give_up() {
    nm_say log "$1"
    nm_say exit 1 "$(nm_now)"
    nm_say end
    [ -z "$nm_dir" ] || rm -rf "$nm_dir"
    exit 1
}

# A private folder in which programs may be started: /tmp may be mounted noexec.
nm_folder() {
    for nm_parent in "${TMPDIR:-/tmp}" /var/tmp /run /var/lib /; do
        nm_dir=$(umask 077 && mktemp -d "$nm_parent/nova-multi.XXXXXX" 2>/dev/null) || {
            nm_dir=$nm_parent/nova-multi.$$
            (umask 077 && mkdir "$nm_dir") 2>/dev/null || continue
        }
        mkdir "$nm_dir/bin" "$nm_dir/outputs" &&
            echo '#!/bin/sh' > "$nm_dir/pid" && chmod 0700 "$nm_dir/pid" &&
            "$nm_dir/pid" && return
        rm -rf "$nm_dir"
    done 2>/dev/null
    return 1
}

nm_say begin "$(nm_now)"
nm_folder || nm_give_up "no folder was found in which a script can be kept and run"
nm_fifo=$nm_dir/report
mkfifo "$nm_fifo" 2>/dev/null || mknod "$nm_fifo" p ||
    nm_give_up "the image has neither mkfifo nor mknod, which reporting needs"
cat > "$nm_dir/call" <<'%NONCE%-END'
%COMMANDS%
%NONCE%-END
nm_whole=
%FETCH%
%LIBRARY%
%SCRIPT%
chmod 0700 "$nm_dir/script" "$nm_dir/call"
set -- progress phase output
# Without the library these names stay the system's own commands.
[ ! -f "$nm_dir/lib.sh" ] ||
    set -- "$@" package service repository user file template property
! grep -qs '^nm_manifest' "$nm_dir/lib.sh" || set -- "$@" manifest playbook
for nm_name in "$@"; do
    ln -s ../call "$nm_dir/bin/$nm_name"
done
nm_setsid=$(command -v setsid)

# Ends a script that takes too long, with all that it has started: first politely.
nm_watch() {
    nm_sleep=
    trap 'kill "$nm_sleep"; exit 0' TERM
    sleep "$nm_limit" > /dev/null &
    nm_sleep=$!
    wait "$nm_sleep"
    : > "$nm_dir/late"
    printf '\n%s timeout %s\n' "$nm_nonce" "$nm_limit"
    read -r nm_pid < "$nm_dir/pid"
    [ -n "$nm_setsid" ] && nm_pid=-$nm_pid
    kill -TERM "$nm_pid"
    for nm_second in 1 2 3 4 5; do
        kill -0 "$nm_pid" || exit 0
        sleep 1
    done
    kill -KILL "$nm_pid"
}

# Runs the script; its last words are the nonce and the exit status. The script's own
# variables are set last, so that none of ours is in the way of one of that name.
nm_run() {
    nm_watch < /dev/null 2> /dev/null &
    nm_watcher=$!
    (
        set -- "$nm_dir" "$nm_setsid"
        cd / || exit 1
%VARIABLES%
        [ ! -f "$1/variables" ] || . "$1/variables"
        PATH=$1/bin:$PATH
        export PATH
        [ ! -f "$1/lib.sh" ] || export NOVA_MULTI_LIB="$1/lib.sh"
        set -- "$2" /bin/sh -c 'echo $$ > "$0/pid"; exec "$0/script"' "$1"
        [ -n "$1" ] || shift
        exec "$@"
    ) < /dev/null 2>&1
    nm_status=$?
    if [ -e "$nm_dir/late" ]; then
        wait "$nm_watcher"
        nm_status=124
    else
        kill "$nm_watcher"
    fi
    printf '\n%s exit %s\n' "$nm_nonce" "$nm_status"
} 2> /dev/null

# What a command told.
nm_hear() {
    nm_say "$1"
    nm_name=${1#output }
    [ "$nm_name" != "$1" ] || return
    nm_name=${nm_name%% *}
    case $nm_name in
    '' | *[!A-Za-z0-9_]*) ;;
    *) printf '%s\n' "$1" > "$nm_dir/outputs/$nm_name" ;;
    esac
}

# Reports line by line, so that a console that others write to as well can be told
# apart, until the script has ended: what it leaves behind in the background may keep
# its output open. Messages come after a newline of their own, for the script may have
# begun a line; the empty line that it makes otherwise is left out.
nm_report() {
    nm_status=255
    nm_empty=
    while IFS= read -r nm_line || [ -n "$nm_line" ]; do
        case $nm_line in
        "$nm_mark progress "* | "$nm_mark phase "* | "$nm_mark output "*)
            nm_empty=
            nm_hear "${nm_line#"$nm_mark "}"
            continue
            ;;
        "$nm_nonce timeout "*)
            nm_empty=
            nm_say "${nm_line#"$nm_nonce "}"
            continue
            ;;
        "$nm_nonce exit "*)
            nm_status=${nm_line#"$nm_nonce exit "}
            break
            ;;
        esac
        [ -z "$nm_empty" ] || nm_say log ""
        nm_empty=
        if [ -n "$nm_line" ]; then nm_say log "$nm_line"; else nm_empty=yes; fi
    done
    # Once more: a console that forgets may have lost them in a long log.
    for nm_name in "$nm_dir/outputs"/*; do
        [ -f "$nm_name" ] && IFS= read -r nm_line < "$nm_name" && nm_say "$nm_line"
    done
    nm_say exit "$nm_status" "$(nm_now)"
    nm_say end
    # Whoever is left may write on, to nobody.
    exec 3<&0
    cat <&3 > /dev/null 2>&1 3<&- &
    exit "$nm_status"
}

nm_say phase run
# Not in the background: a script there would ignore SIGINT and SIGQUIT.
nm_run > "$nm_fifo" | nm_report < "$nm_fifo"
nm_status=$?
rm -rf "$nm_dir"
exit "$nm_status"
