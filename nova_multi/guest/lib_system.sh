#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A part of the helper library, put behind lib.sh on its way to the guest.

# -- user add NAME [uid=N] [home=H] [shell=S] [system=yes] [groups=A,B] [key=K]; remove

nm_user_add() {
    nm_id='' nm_home='' nm_shell=/bin/sh nm_system='' nm_groups='' nm_key=''
    for nm_word in "$@"; do
        case $nm_word in
        uid=*) nm_id=${nm_word#*=} ;;
        home=*) nm_home=${nm_word#*=} ;;
        shell=*) nm_shell=${nm_word#*=} ;;
        system=yes) nm_system=yes ;;
        groups=*) nm_groups=${nm_word#*=} ;;
        key=*) nm_key=${nm_word#*=} ;;
        *) nm_die "'$nm_word' is not uid=, home=, shell=, system=yes, groups= or key=" ;;
        esac
    done
    : "${nm_home:=/home/$nm_name}"
    if nm_known passwd "$nm_name"; then :
    elif nm_has useradd; then
        useradd ${nm_id:+-u "$nm_id"} ${nm_system:+-r} -m -d "$nm_home" \
            -s "$nm_shell" "$nm_name" || return
    else
        nm_has adduser || nm_die "the image has neither useradd nor adduser"
        adduser -D ${nm_id:+-u "$nm_id"} ${nm_system:+-S} -h "$nm_home" \
            -s "$nm_shell" "$nm_name" || return
    fi
    set -f
    IFS=,
    set -- $nm_groups
    unset IFS
    set +f
    for nm_group in "$@"; do
        nm_known group "$nm_group" ||
            if nm_has groupadd; then groupadd "$nm_group"; else addgroup "$nm_group"; fi ||
            return
        if nm_has usermod; then usermod -a -G "$nm_group" "$nm_name"
        else addgroup "$nm_name" "$nm_group"; fi || return
    done
    [ -n "$nm_key" ] || return 0
    nm_home=$(grep "^$nm_name:" "$nm_root/etc/passwd" | cut -d : -f 6)
    nm_ssh=$nm_root$nm_home/.ssh
    (umask 077 && mkdir -p "$nm_ssh") &&
        nm_file_line "$nm_ssh/authorized_keys" "$nm_key" &&
        chmod 0600 "$nm_ssh/authorized_keys" && chown -R "$nm_name:" "$nm_ssh"
}

nm_known() {
    grep -q "^$2:" "$nm_root/etc/$1" 2> /dev/null
}

nm_user() (
    nm_begin user
    nm_verb=${1:-} nm_name=${2:-}
    case $nm_name in
    '' | -* | *[!a-z0-9_-]*) nm_die "'$nm_name' is no name of a user" ;;
    esac
    shift 2
    case $nm_verb in
    add) nm_user_add "$@" ;;
    remove)
        nm_known passwd "$nm_name" || exit 0
        if nm_has userdel; then userdel -r "$nm_name"
        else deluser --remove-home "$nm_name"; fi
        ;;
    *) nm_die "say add or remove" ;;
    esac
)

# -- property get NAME; property list

nm_release() {
    (. "$nm_root/etc/os-release" && eval "printf '%s\n' \"\${$1:-}\"") 2> /dev/null
}

nm_least() {
    # The smallest of the numbers that are read; what is no number is no limit.
    awk '/^[0-9]+$/ && ($1 > 0) && (least == "" || $1 + 0 < least) { least = $1 + 0 }
        END { printf "%.0f\n", least }'
}

nm_get() {
    case $1 in
    hostname) uname -n ;;
    architecture) uname -m ;;
    os) nm_release ID ;;
    os_version) nm_release VERSION_ID ;;
    os_family) nm_family ;;
    init) nm_init ;;
    uuid)
        for nm_each in var/lib/nova-multi/instance-uuid \
            var/lib/cloud/data/instance-id run/guest/meta_data.json \
            sys/class/dmi/id/product_uuid; do
            # In a container that is the host's.
            case $nm_each$(nm_get hypervisor) in
            sys*docker | sys*lxd) continue ;;
            esac
            nm_found=$(sed -n 's/.*"uuid": *"\([^"]*\)".*/\1/p
                /^[0-9A-Fa-f-]\{36\}$/p' "$nm_root/$nm_each" 2> /dev/null | sed q)
            [ -z "$nm_found" ] || break
        done
        printf '%s\n' "$nm_found" | tr '[:upper:]' '[:lower:]'
        ;;
    addresses)
        nm_ip=ip
        nm_has ip || nm_ip='busybox ip'
        { $nm_ip -o address show scope global || awk '
            $1 == "|--" || $2 == "|--" { at = $NF }
            /32 host LOCAL/ && at !~ /^127/ && !seen[at]++ { print "- - inet", at }
            ' "$nm_root/proc/net/fib_trie"; } 2> /dev/null |
            awk '$3 ~ /^inet/ { sub("/.*", "", $4); print $4 }' |
            tr '\n' ' ' | sed 's/ $//'
        echo
        ;;
    address) nm_get addresses | cut -d ' ' -f 1 ;;
    memory)
        {
            awk '/^MemTotal/ { printf "%.0f\n", $2 * 1024 }' "$nm_root/proc/meminfo"
            cat "$nm_root/sys/fs/cgroup/memory.max" \
                "$nm_root/sys/fs/cgroup/memory/memory.limit_in_bytes"
        } 2> /dev/null | nm_least | awk '{ printf "%.0f\n", $1 / 1048576 }'
        ;;
    cpus)
        {
            nproc || grep -c '^processor' "$nm_root/proc/cpuinfo"
            cd "$nm_root/sys/fs/cgroup" &&
                { cat cpu.max || paste -d ' ' cpu/cpu.cfs_quota_us cpu/cpu.cfs_period_us; } |
                awk '$1 > 0 && $2 > 0 { n = $1 / $2; print (n > int(n)) ? int(n) + 1 : n }'
        } 2> /dev/null | nm_least
        ;;
    hypervisor)
        if [ -e "$nm_root/.dockerenv" ]; then echo docker
        elif tr '\0' '\n' 2> /dev/null < "$nm_root/proc/1/environ" |
            grep -q '^container=lxc' || [ -e "$nm_root/dev/lxd" ]; then echo lxd
        elif grep -qs '^flags.* hypervisor' "$nm_root/proc/cpuinfo" ||
            grep -qs QEMU "$nm_root/sys/class/dmi/id/sys_vendor"; then echo libvirt
        else echo unknown; fi
        ;;
    *) nm_die "'$1' is unknown; there are $nm_properties" ;;
    esac
}

nm_properties='hostname uuid address addresses os os_version os_family architecture'
nm_properties="$nm_properties init memory cpus hypervisor"

nm_property() (
    nm_begin property
    case ${1:-}.$# in
    list.1) for nm_name in $nm_properties; do echo "$nm_name=$(nm_get "$nm_name")"; done ;;
    get.2)
        nm_value=$(nm_get "$2") || exit
        [ -n "$nm_value" ] || nm_die "$2 is not known here"
        printf '%s\n' "$nm_value"
        ;;
    *) nm_die "say get NAME, or list" ;;
    esac
)
