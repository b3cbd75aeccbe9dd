#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What one provisioner's script needs to work on Debian, Alpine, RHEL's family and on
# a system that is only a busybox. Each function is also a command of the name without
# nm_. All are idempotent: what is so already is left alone, and nothing is fetched.
#
# Bodies are subshells: their variables and settings never reach the script.
# Services are in lib_service.sh, users and properties in lib_system.sh, Puppet and
# Ansible in lib_apply.sh: what reaches the guest is one file. NOVA_MULTI_ROOT is a folder to work on in place of /.

nm_root=${NOVA_MULTI_ROOT:-}

nm_die() {
    echo "${nm_me:-nova-multi}: $*" >&2
    exit 1
}

# The system's own commands come first here: package scripts call `service`, too.
nm_begin() {
    nm_me=$1
    nm_bin=${NOVA_MULTI_LIB%/*}/bin
    case :$PATH: in
    *:"$nm_bin":*)
        PATH=:$PATH:
        PATH=${PATH%%":$nm_bin:"*}:${PATH#*":$nm_bin:"}
        PATH=${PATH#:}
        PATH=${PATH%:}
        ;;
    esac
    set +e
}

nm_has() {
    command -v "$1" > /dev/null 2>&1
}

nm_tool() {
    for nm_each in apt-get apk dnf microdnf yum; do
        nm_has "$nm_each" && echo "$nm_each" && return
    done
    echo none
}

nm_family() {
    case $(nm_tool) in
    apt-get) echo debian ;;
    apk) echo alpine ;;
    dnf | microdnf | yum) echo redhat ;;
    *) echo none ;;
    esac
}

# The words that are meant for this family: debian:NAME, alpine:NAME, redhat:NAME and
# none:NAME, and those without any. Each on a line.
nm_mine() {
    nm_own=$(nm_family)
    for nm_each in "$@"; do
        case $nm_each in
        "$nm_own":*) printf '%s\n' "${nm_each#*:}" ;;
        debian:* | alpine:* | redhat:* | none:*) ;;
        *) printf '%s\n' "$nm_each" ;;
        esac
    done
}

# -- package install | remove | upgrade | installed NAME...

nm_installed() {
    case $(nm_tool) in
    apt-get) dpkg-query -W -f '${Status}\n' "${1%%=*}" 2> /dev/null |
        grep -q 'ok installed' ;;
    apk) apk info -e "${1%%[=<>~]*}" > /dev/null 2>&1 ;;
    none) nm_has "$1" || { busybox --list 2> /dev/null || true; } | grep -qx "$1" ;;
    *) rpm -q "$1" > /dev/null 2>&1 ;;
    esac
}

nm_apt() {
    DEBIAN_FRONTEND=noninteractive apt-get -y -q -o DPkg::Lock::Timeout=300 \
        -o Dpkg::Options::=--force-confold "$@" < /dev/null
}

nm_apt_lists() {
    nm_stale=$nm_root/var/lib/apt/nova-multi-stale
    [ "${1:-}" = always ] || [ -e "$nm_stale" ] ||
        ! ls "$nm_root"/var/lib/apt/lists/*Packages* > /dev/null 2>&1 || return 0
    nm_apt update && rm -f "$nm_stale"
}

nm_package() (
    nm_begin package
    nm_verb=${1:-}
    [ $# -eq 0 ] || shift
    nm_asked=$#
    nm_wanted=$(nm_mine "$@")
    case $nm_wanted in
    -* | *"
-"*) nm_die "a name can't begin with '-'" ;;
    esac
    set -f
    IFS='
'
    set -- $nm_wanted
    unset IFS
    set +f
    case $nm_verb in
    installed)
        for nm_name in "$@"; do nm_installed "$nm_name" || exit 1; done
        exit 0
        ;;
    install | remove)
        [ "$nm_asked" -gt 0 ] || nm_die "$nm_verb needs the names of packages"
        nm_left=$#
        while [ "$nm_left" -gt 0 ]; do
            nm_left=$((nm_left - 1)) nm_name=$1
            shift
            nm_installed "$nm_name"
            case $nm_verb$? in
            install0 | remove1) ;;
            *) set -- "$@" "$nm_name" ;;
            esac
        done
        [ $# -gt 0 ] || exit 0
        ;;
    upgrade) [ "$nm_asked" -eq 0 ] || [ $# -gt 0 ] || exit 0 ;;
    *) nm_die "say install, remove, upgrade or installed" ;;
    esac
    nm_tool=$(nm_tool)
    case $nm_tool.$nm_verb in
    none.*) nm_die "there is no package tool in this image: $nm_verb $*" ;;
    apt-get.install)
        nm_apt_lists || nm_die "apt-get update failed"
        nm_apt install --no-install-recommends "$@" ||
            { nm_apt_lists always && nm_apt install --no-install-recommends "$@"; }
        ;;
    apt-get.upgrade)
        nm_apt_lists always || nm_die "apt-get update failed"
        if [ $# -gt 0 ]; then nm_apt install --only-upgrade "$@"; else nm_apt upgrade; fi
        ;;
    apt-get.remove) nm_apt remove "$@" ;;
    apk.install) apk add --update-cache "$@" ;;
    apk.upgrade)
        if [ $# -gt 0 ]; then apk add --update-cache --upgrade "$@"
        else apk upgrade --update-cache; fi
        ;;
    apk.remove) apk del "$@" ;;
    microdnf.upgrade) microdnf -y update "$@" ;;
    *.*) "$nm_tool" -y "$nm_verb" "$@" ;;
    esac
)

nm_install() {
    nm_package install "$@"
}

# -- repository add NAME URL... [suite=S] [components=C] [key=FILE]; remove NAME

nm_repository() (
    nm_begin repository
    nm_verb=${1:-} nm_name=${2:-} nm_suite='' nm_components=main nm_key='' nm_url=''
    case $nm_name in
    '' | [.-]* | *[!A-Za-z0-9_.-]*) nm_die "'$nm_name' is no name of a repository" ;;
    esac
    shift 2
    nm_own=$(nm_family)
    for nm_word in "$@"; do
        case $nm_word in
        suite=*) nm_suite=${nm_word#*=} ;;
        components=*) nm_components=${nm_word#*=} ;;
        key=*) nm_key=${nm_word#*=} ;;
        "$nm_own":*) nm_url=${nm_word#*:} ;;
        debian:* | alpine:* | redhat:* | none:*) ;;
        http://* | https://* | file:* | ftp://* | /*) nm_url=${nm_word} ;;
        *) nm_die "'$nm_word' is no URL, suite=, components= or key=" ;;
        esac
    done
    case $nm_url$nm_suite$nm_components in
    *[\"\\]* | *"
"*) nm_die "a URL, suite or component can't have quotes or newlines" ;;
    esac
    [ -z "$nm_key" ] || [ -s "$nm_key" ] || nm_die "the key $nm_key is missing or empty"
    nm_apk=$nm_root/etc/apk/repositories
    case $nm_verb.$nm_own in
    add.none) nm_die "there is no package tool in this image" ;;
    add.*)
        # Only for other families.
        [ -n "$nm_url" ] || exit 0
        ;;
    esac
    case $nm_verb.$nm_own in
    add.debian)
        [ -n "$nm_suite" ] || nm_die "suite= is needed, such as suite=bookworm"
        nm_signed=''
        if [ -n "$nm_key" ]; then
            nm_ring=/etc/apt/keyrings/$nm_name.gpg
            ! grep -q 'BEGIN PGP' "$nm_key" || nm_ring=${nm_ring%.gpg}.asc
            nm_file_put "$nm_root$nm_ring" 0644 < "$nm_key" || exit
            nm_signed="[signed-by=$nm_ring] "
        fi
        nm_file_put "$nm_root/etc/apt/sources.list.d/$nm_name.list" 0644 << END || exit
deb $nm_signed$nm_url $nm_suite $nm_components
END
        : > "$nm_root/var/lib/apt/nova-multi-stale"
        ;;
    add.alpine)
        [ -z "$nm_key" ] ||
            nm_file_put "$nm_root/etc/apk/keys/${nm_key##*/}" 0644 < "$nm_key" || exit
        nm_file_line "$nm_apk" "$nm_url"
        nm_file_put "$nm_root/etc/apk/nova-multi.$nm_name" << END
$nm_url
END
        ;;
    add.redhat)
        nm_gpg=''
        if [ -n "$nm_key" ]; then
            nm_gpg=/etc/pki/rpm-gpg/RPM-GPG-KEY-$nm_name
            nm_file_put "$nm_root$nm_gpg" 0644 < "$nm_key" || exit
            nm_gpg="gpgkey=file://$nm_gpg"
        fi
        nm_file_put "$nm_root/etc/yum.repos.d/$nm_name.repo" 0644 << END
[$nm_name]
name=$nm_name
baseurl=$nm_url
enabled=1
gpgcheck=1
$nm_gpg
END
        ;;
    remove.debian)
        rm -f "$nm_root/etc/apt/sources.list.d/$nm_name.list" \
            "$nm_root/etc/apt/keyrings/$nm_name".*
        : > "$nm_root/var/lib/apt/nova-multi-stale"
        ;;
    remove.alpine)
        nm_kept=$nm_root/etc/apk/nova-multi.$nm_name
        [ -e "$nm_kept" ] || exit 0
        grep -vxFf "$nm_kept" "$nm_apk" | nm_file_put "$nm_apk" && rm -f "$nm_kept"
        ;;
    remove.redhat) rm -f "$nm_root/etc/yum.repos.d/$nm_name.repo" ;;
    remove.none) ;;
    *) nm_die "say add or remove" ;;
    esac
)

# -- file put PATH [MODE] [OWNER] < CONTENT; file line PATH LINE

# Whole or not at all; a file that is the same already is not written.
nm_file_put() (
    nm_new=$1.nova-multi.$$
    mkdir -p "${1%/*}/" || exit
    trap 'rm -f "$nm_new"' EXIT
    umask 077
    if [ -f "$1" ]; then
        # Keeps mode and owner.
        cp -p "$1" "$nm_new" || exit
    else
        : > "$nm_new" && chmod 0644 "$nm_new" || exit
    fi
    cat > "$nm_new" || exit
    [ -z "${2:-}" ] || chmod "$2" "$nm_new" || exit
    [ -z "${3:-}" ] || chown "$3" "$nm_new" || exit
    if [ -f "$1" ] && [ ! -L "$1" ] && cmp -s "$1" "$nm_new"; then
        [ -z "${2:-}" ] || chmod "$2" "$1" || exit
        [ -z "${3:-}" ] || chown "$3" "$1" || exit
    elif ! mv -f "$nm_new" "$1" 2> /dev/null; then
        # What is mounted, as /etc/hosts is by Docker, can only be filled.
        cat "$nm_new" > "$1" || exit
        [ -z "${2:-}" ] || chmod "$2" "$1" || exit
        [ -z "${3:-}" ] || chown "$3" "$1"
    fi
)

nm_file_line() (
    ! grep -qxsF -e "$2" "$1" || exit 0
    # The last line may have no end.
    { [ ! -s "$1" ] || { cat "$1" && [ -z "$(tail -c 1 "$1")" ] || echo; }
        printf '%s\n' "$2"; } | nm_file_put "$1"
)

nm_file() (
    nm_begin file
    case ${1:-} in
    put | line)
        nm_verb=$1
        shift
        case ${1:-} in
        /?*) ;;
        *) nm_die "'${1:-}' is no path that begins with /" ;;
        esac
        [ ! -d "$nm_root$1" ] || nm_die "$1 is a folder"
        nm_path=$nm_root$1
        shift
        "nm_file_$nm_verb" "$nm_path" "$@"
        ;;
    *)
        nm_has file || nm_die "say put or line"
        exec file "$@"
        ;;
    esac
)

# -- template [FILE]: {{NAME}} becomes the variable's value, which is only data

nm_template() (
    nm_begin template
    [ $# -eq 0 ] || exec < "$1" || exit
    awk '{
        out = ""
        while (match($0, /[{][{][A-Za-z_][A-Za-z0-9_]*[}][}]/)) {
            name = substr($0, RSTART + 2, RLENGTH - 4)
            if (!(name in ENVIRON)) { missing = missing " " name; ENVIRON[name] = "" }
            out = out substr($0, 1, RSTART - 1) ENVIRON[name]
            $0 = substr($0, RSTART + RLENGTH)
        }
        print out $0
    }
    END {
        if (missing != "") {
            print "template: no value for" missing | "cat >&2"
            exit 1
        }
    }'
)
