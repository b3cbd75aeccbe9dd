#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Makes a machine one that a Swarm's manager may take in: with the key MANAGER_KEY, from
# swarm.yaml, it may come in by SSH and run swarm-join, and nothing else.

set -eu

progress "Starting Docker"
service enable docker
service start docker

file put /usr/local/sbin/swarm-join 0755 <<'JOIN'
#!/bin/sh
# Leaves the Swarm that this machine is in, and joins the one whose token and manager's
# address are on standard input. Called by sshd, for the manager's key.
set -eu
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export PATH
read -r token manager
if [ "$(docker info --format '{{.Swarm.LocalNodeState}}')" != inactive ]; then
    docker swarm leave --force
fi
exec docker swarm join --token "$token" "$manager:2377"
JOIN

mkdir -p -m 0700 /root/.ssh
file line /root/.ssh/authorized_keys \
    "command=\"/usr/local/sbin/swarm-join\",no-pty,no-port-forwarding,no-agent-forwarding,no-X11-forwarding $MANAGER_KEY"
chmod 0600 /root/.ssh/authorized_keys

progress "Waiting for Docker"
tries=0
until docker info >/dev/null 2>&1; do
    tries=$((tries + 1))
    if [ "$tries" -ge 120 ]; then
        tail -n 20 /var/log/docker.log
        echo "node: Docker does not answer"
        exit 1
    fi
    sleep 1
done
progress "Loading the site's image"
docker load --quiet --input /usr/lib/swarm/site.tar
echo "node: $(property get hostname) may be taken in"
