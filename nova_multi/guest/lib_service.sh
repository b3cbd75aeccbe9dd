#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A part of the helper library, put behind lib.sh on its way to the guest.

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
    # For a moment it is a shell still, which is not taken for the service.
    for try in 1 2 3 4 5 6 7 8 9 10; do
        runs && return
        sleep 0.2 2> /dev/null || sleep 1
    done
    # It has ended, which status tells.
    return 0
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
