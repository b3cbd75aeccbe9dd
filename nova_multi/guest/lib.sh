#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What one provisioner's script needs to work on Debian, Alpine, RHEL's family and on
# a system that is only a busybox. Each function is also a command of the name without
# nm_. All are idempotent: what is so already is left alone, and nothing is fetched.
#
# Bodies are subshells: their variables and settings never reach the script.
# NOVA_MULTI_ROOT is a folder to work on in place of /.

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

# -- service enable | disable | start | stop | restart | reload | status NAME
# -- service create NAME COMMAND [ARGUMENT...]

nm_init() {
    if [ -d "$nm_root/run/systemd/system" ] && nm_has systemctl; then echo systemd
    elif nm_has rc-service; then echo openrc
    else echo sysv; fi
}

# One argument as a shell reads it.
nm_quoted() {
    printf '%s\n' "$1" | sed -e "s/'/'\\\\''/g" -e "1s/^/'/" -e "\$s/\$/'/"
}

nm_service_create() {
    nm_run=$nm_root/usr/local/lib/nova-multi/$nm_name
    nm_line=exec
    for nm_each in "$@"; do nm_line="$nm_line $(nm_quoted "$nm_each")"; done
    printf '#!/bin/sh\n%s\n' "$nm_line" | nm_file_put "$nm_run" 0755 || return
    nm_run=${nm_run#"$nm_root"}
    case $(nm_init) in
    systemd)
        nm_file_put "$nm_root/etc/systemd/system/$nm_name.service" << END || return
[Unit]
Description=$nm_name
After=network-online.target
[Service]
ExecStart=$nm_run
Restart=on-failure
[Install]
WantedBy=multi-user.target
END
        systemctl daemon-reload
        ;;
    openrc)
        nm_file_put "$nm_root/etc/init.d/$nm_name" 0755 << END
#!/sbin/openrc-run
command="$nm_run"
command_background=true
pidfile="/run/$nm_name.pid"
END
        ;;
    *)
        # Lines that begin with this sign are taken out of the library on its way.
        nm_hash='#'
        nm_file_put "$nm_root/etc/init.d/$nm_name" 0755 << END
#!/bin/sh
$nm_hash## BEGIN INIT INFO
$nm_hash Provides: $nm_name
$nm_hash Required-Start: \$remote_fs \$network
$nm_hash Required-Stop: \$remote_fs
$nm_hash Default-Start: 2 3 4 5
$nm_hash Default-Stop: 0 1 6
$nm_hash## END INIT INFO
pid=$nm_root/run/$nm_name.pid
runs() {
    [ -s \$pid ] && read -r at < \$pid && kill -0 "\$at" 2> /dev/null &&
        grep -qs nova-multi-$nm_name /proc/"\$at"/environ
}
start() {
    runs && return
    mkdir -p \${pid%/*}
    detach=\$(command -v setsid)
    NOVA_MULTI_SERVICE=nova-multi-$nm_name \$detach $nm_root$nm_run < /dev/null > /dev/null 2>&1 &
    echo \$! > \$pid
}
stop() {
    runs || return 0
    kill "\$at"
    for second in 1 2 3 4 5 6 7 8 9 10; do
        runs || break
        sleep 1
    done
    runs && kill -9 "\$at"
    rm -f \$pid
}
case \$1 in
start | stop) "\$1" ;;
restart | reload | force-reload) stop; start ;;
status) if runs; then echo "$nm_name runs as process \$at"; else echo "$nm_name does not run"; exit 3; fi ;;
*) exit 2 ;;
esac
END
        ;;
    esac
}

# Without an init system of a known kind: what runs at each boot.
nm_sysv_enable() {
    nm_script=/etc/init.d/$nm_name
    if nm_has update-rc.d; then update-rc.d "$nm_name" defaults > /dev/null
    elif nm_has chkconfig; then chkconfig --add "$nm_name" && chkconfig "$nm_name" on
    elif [ -e "$nm_root/etc/init.d/rcS" ]; then
        ln -sf "$nm_name" "$nm_root/etc/init.d/S90$nm_name"
    else
        nm_rc=$nm_root/etc/rc.local
        [ -s "$nm_rc" ] || echo '#!/bin/sh' | nm_file_put "$nm_rc"
        ! grep -qx "$nm_script start" "$nm_rc" || return 0
        # Debian's own ends with an exit.
        { grep -vx 'exit 0' "$nm_rc" && echo "$nm_script start"; } |
            nm_file_put "$nm_rc" && chmod a+x "$nm_rc"
    fi
}

nm_sysv_disable() {
    if nm_has update-rc.d; then update-rc.d -f "$nm_name" remove > /dev/null
    elif nm_has chkconfig; then chkconfig "$nm_name" off
    else
        rm -f "$nm_root/etc/init.d/S90$nm_name"
        [ ! -e "$nm_root/etc/rc.local" ] ||
            grep -vx "/etc/init.d/$nm_name start" "$nm_root/etc/rc.local" |
            nm_file_put "$nm_root/etc/rc.local"
    fi
}

nm_service() (
    nm_begin service
    case ${1:-} in
    create | enable | disable | start | stop | restart | reload | status) ;;
    *)
        # The system's own command of that name has the words the other way round.
        nm_has service ||
            nm_die "say create, enable, disable, start, stop, restart, reload or status"
        exec service "$@"
        ;;
    esac
    nm_verb=$1 nm_name=${2:-}
    case $nm_name in
    '' | -* | .* | *[!A-Za-z0-9_.@-]*) nm_die "'$nm_name' is no name of a service" ;;
    esac
    shift 2
    case $nm_verb.$(nm_init) in
    create.*)
        [ $# -gt 0 ] || nm_die "create needs the command to run"
        nm_service_create "$@"
        ;;
    *.systemd) systemctl --no-pager "$nm_verb" "$nm_name" ;;
    enable.openrc) rc-update -q add "$nm_name" default ;;
    disable.openrc)
        rc-update -q del "$nm_name" default || ! rc-update show default | grep -qw "$nm_name"
        ;;
    start.openrc) rc-service --ifstopped "$nm_name" start ;;
    stop.openrc) rc-service --ifstarted "$nm_name" stop ;;
    *.openrc) rc-service "$nm_name" "$nm_verb" ;;
    *)
        nm_script=$nm_root/etc/init.d/$nm_name
        [ -x "$nm_script" ] ||
            nm_die "there is no service $nm_name: $nm_script is missing (service create)"
        case $nm_verb in
        enable) nm_sysv_enable ;;
        disable) nm_sysv_disable ;;
        *) "$nm_script" "$nm_verb" ;;
        esac
        ;;
    esac
)

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
    else
        mv -f "$nm_new" "$1"
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
