#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A part of the helper library, put behind lib.sh on its way to the guest.
#
# -- manifest [OPTION...] FILE: apply a Puppet manifest, here
# -- playbook [OPTION...] FILE: run an Ansible playbook, here
#
# What runs them is installed where it is missing. Values go by environment or file, for
# everybody may read a command line.

# Only what tells how it goes is on their PATH, at its end: what Puppet and Ansible call
# `service` and `file` are the system's.
nm_apply_begin() {
    nm_begin "$1"
    shift
    [ $# -gt 0 ] || nm_die "say which file"
    for nm_file; do :; done
    [ -f "$nm_file" ] || nm_die "there is no file $nm_file"
    nm_home=${NOVA_MULTI_LIB%/*}
    if [ -e "$nm_home/call" ]; then
        mkdir -p "$nm_home/tell" || exit
        for nm_each in progress phase output; do
            ln -sf ../call "$nm_home/tell/$nm_each" || exit
        done
        PATH=$PATH:$nm_home/tell
    fi
    # Where Puppet's own packages have it.
    PATH=$PATH:/opt/puppetlabs/bin
    : "${HOME:=/root}"
    case ${LC_ALL:-${LC_CTYPE:-${LANG:-}}} in
    *[Uu][Tt][Ff]*8) ;;
    *) export LC_ALL=C.UTF-8 ;;
    esac
    export PATH HOME
}

nm_apply_tell() {
    ! nm_has "$1" || "$@"
}

# Which program, what it is called, and what packages may have it, by and by.
nm_apply_needs() {
    nm_program=$1 nm_title=$2
    shift 2
    nm_has "$nm_program" && return
    nm_apply_tell progress "Installing $nm_title"
    nm_why=$nm_home/why.$$
    for nm_each in "$@"; do
        [ -n "$(nm_mine "$nm_each")" ] || continue
        nm_package install "$nm_each" 2> "$nm_why" && break
        cat "$nm_why" >&2
    done
    nm_has "$nm_program" || nm_die "$nm_title is not in this image, and can't be had:" \
        "$(sed -n '/[^ ]/h
            ${ x
            p
            }' "$nm_why" | cut -b 1-300)"
    rm -f "$nm_why"
}

# Its output, line by line; what is being done is told as progress, too. Ends with what
# it ended with: what it leaves in the background may keep its output open.
nm_apply_run() {
    nm_end="nova-multi-$$-end"
    {
        "$@" 2>&1
        printf '\n%s %s\n' "$nm_end" "$?"
    } | {
        while IFS= read -r nm_line; do
            case $nm_line in
            "$nm_end "*) break ;;
            'TASK ['* | 'RUNNING HANDLER ['*)
                nm_now=${nm_line#*'['}
                nm_apply_tell progress "${nm_now%']'*}"
                ;;
            'Notice: /Stage[main]/'*)
                nm_now=${nm_line#'Notice: /Stage[main]/'}
                nm_apply_tell progress "${nm_now#Main/}"
                ;;
            esac
            [ -z "$nm_line" ] || printf '%s\n' "$nm_line"
        done
        exec 3<&0
        cat <&3 > /dev/null 2>&1 3<&- &
        nm_line=${nm_line#"$nm_end "}
        exit "${nm_line:-1}"
    }
}

# The script's variables are facts of their names.
nm_manifest() (
    nm_apply_begin manifest "$@"
    nm_apply_needs puppet Puppet debian:puppet-agent puppet
    for nm_each in ${NOVA_MULTI_VARIABLES:-}; do
        eval "FACTER_$nm_each=\$$nm_each; export FACTER_$nm_each"
    done
    FACTER_nova_multi_path=$PATH
    export FACTER_nova_multi_path
    nm_apply_run puppet apply --detailed-exitcodes --color=false "$@"
    nm_status=$?
    # Nothing was to be done, or all of it was.
    case $nm_status in
    0 | 2) exit 0 ;;
    esac
    echo "manifest: puppet apply ended with exit status $nm_status" >&2
    exit "$nm_status"
)

# A file of variables, none of which is taken for a template.
nm_apply_variables() {
    nm_python=$(sed -n '1s/^#! *\(.*python.*\)/\1/p' "$(command -v ansible-playbook)")
    nm_names=${NOVA_MULTI_VARIABLES:-} ${nm_python:-python3} -c '
import os
plain = lambda c: " " <= c <= "~" and c not in "\"\\"
quoted = lambda text: "".join(c if plain(c) else "\\U%08x" % ord(c) for c in text)
line = lambda name: "\"%s\": !unsafe \"%s\"" % (name, quoted(os.environ[name]))
names = [each for each in os.environ["nm_names"].split() if each in os.environ]
print("\n".join(map(line, names)) or "{}")
'
}

# Ansible takes turns by semaphores, which live there; a small init may not make it.
nm_apply_shared() {
    [ ! -d "$nm_root/dev/shm" ] || return 0
    mkdir -m 1777 "$nm_root/dev/shm" || return 0
    mount -t tmpfs -o mode=1777,nosuid,nodev tmpfs "$nm_root/dev/shm" 2> /dev/null ||
        chmod 1777 "$nm_root/dev/shm"
}

nm_playbook() (
    nm_apply_begin playbook "$@"
    nm_apply_shared
    nm_apply_needs ansible-playbook Ansible ansible-core debian:ansible
    nm_vars=$nm_home/vars.$$
    (umask 077 && nm_apply_variables > "$nm_vars") ||
        nm_die "the variables can't be given to Ansible"
    export ANSIBLE_NOCOLOR=1 ANSIBLE_RETRY_FILES_ENABLED=0 \
        ANSIBLE_LOCALHOST_WARNING=0 ANSIBLE_PYTHON_INTERPRETER=auto_silent \
        ANSIBLE_LOCAL_TEMP="$nm_home/ansible" ANSIBLE_REMOTE_TEMP="$nm_home/ansible"
    nm_apply_run ansible-playbook -c local -i localhost, -e "@$nm_vars" "$@"
    nm_status=$?
    rm -f "$nm_vars"
    [ "$nm_status" -ne 0 ] || exit 0
    echo "playbook: ansible-playbook ended with exit status $nm_status" >&2
    exit "$nm_status"
)
