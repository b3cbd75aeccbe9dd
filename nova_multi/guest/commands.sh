#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Commands for provisioners' scripts in any language, by the name they are called by:
#
#   progress TEXT...       what is being done now, for people
#   phase NAME             a longer part of the work
#   output NAME [VALUE]    a value for others; without VALUE it is read
#
# and those of the library, lib.sh, in guests that have it.

nm_name=${0##*/}
nm_home=${0%/*}
nm_home=${nm_home%/bin}
nm_home=${nm_home%/tell}

nm_refuse() {
    echo "$nm_name: $1" >&2
    exit 2
}

# One write of less than 4096 bytes, which no other can come into.
nm_tell() {
    printf '\n%s %s\n' '%MARK%' "$1" > "$nm_home/report"
}

nm_one_line() {
    printf '%s' "$*" | tr '\n\r\t' '   ' | cut -b 1-1000
}

case $nm_name in
progress | phase)
    nm_text=$(nm_one_line "$@")
    [ -n "$nm_text" ] || nm_refuse "say what is being done"
    nm_tell "$nm_name $nm_text"
    ;;
output)
    LC_ALL=C
    export LC_ALL
    case ${1:-} in
    '' | [0-9]* | *[!A-Za-z0-9_]*)
        nm_refuse "'${1:-}' is no name: letters, digits and _, no digit first" ;;
    esac
    [ "${#1}" -le 64 ] || nm_refuse "a name of more than 64 letters"
    nm_value=${2-$(cat)}
    nm_value=$(printf '%s\n' "$nm_value" |
        sed -e ':a' -e '$!{' -e 'N' -e 'ba' -e '}' -e 's/\\/\\\\/g' -e 's/\n/\\n/g')
    [ "${#nm_value}" -le 3900 ] || nm_refuse "$1 has more than 3900 bytes"
    set -- "$1" "$nm_home/outputs"/*
    [ $# -le 64 ] || [ -e "$nm_home/outputs/$1" ] || nm_refuse "more than 64 outputs"
    nm_tell "output $1 $nm_value"
    ;;
*)
    NOVA_MULTI_LIB=$nm_home/lib.sh
    . "$NOVA_MULTI_LIB"
    "nm_$nm_name" "$@"
    ;;
esac
