#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Lets the owner of a public key in by SSH, as root. The image must have a server for
# SSH. The key is the variable KEY:
#
#   openstack multi provisioner create shell --image IMAGE --script examples/authorize.sh
#   openstack multi instance create mine --provisioner shell \
#       --var "KEY=$(cat ~/.ssh/id_ed25519.pub)" ...

set -eu

: "${KEY:?must be a public key}"

folder=${HOME:-/root}/.ssh
keys=$folder/authorized_keys
mkdir -p "$folder"
chmod 0700 "$folder"
touch "$keys"
chmod 0600 "$keys"
grep -qxF "$KEY" "$keys" || printf '%s\n' "$KEY" >>"$keys"
echo "authorize: ${KEY##* } may come in"
