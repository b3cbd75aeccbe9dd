#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Gives each profile's policy, one setting in a line, to the machines that ask for it.
# PRINTER comes from campus.yaml.

set -eu

progress "Writing the policies"
template <<'POLICY' | file put /srv/policies/office
motd This machine is an office's.
host {{PRINTER}} printer
POLICY
file put /srv/policies/lab <<'POLICY'
motd This machine is a lab's: what is left here is gone tomorrow.
board 80
POLICY

service create policies busybox httpd -f -p 80 -h /srv/policies
service enable policies
service start policies
echo "server: policies are at port 80"
