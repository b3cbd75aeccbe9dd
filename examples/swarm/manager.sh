#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Makes a Swarm of this machine and those whose addresses are NODES, and has it run the
# site. KEY is the private key that node.sh lets in. All come from swarm.yaml.
#
# Run again, it takes in the nodes that are new, and forgets those that are gone.

set -eu

address=$(property get address)

attempt() {
    # $1: how often, once in two seconds; then a command that is to succeed.
    tries=$1
    shift
    until said=$("$@" 2>&1); do
        tries=$((tries - 1))
        if [ "$tries" -le 0 ]; then
            printf 'manager: %s\n' "$said"
            exit 1
        fi
        sleep 2
    done
}

progress "Starting Docker"
service enable docker
service start docker
attempt 60 docker info
docker load --quiet --input /usr/lib/swarm/site.tar

progress "Making the Swarm"
if [ "$(docker info --format '{{.Swarm.LocalNodeState}}')" = inactive ]; then
    docker swarm init --advertise-addr "$address" >/dev/null
    # VXLAN takes 50 bytes of each packet, and a network of the cloud may have less
    # than Docker thinks.
    interface=$(ip -o route get 192.0.2.1 | sed -n 's/.* dev \([^ ]*\).*/\1/p')
    mtu=$(($(cat "/sys/class/net/$interface/mtu") - 50))
    echo y | docker network rm ingress >/dev/null
    # It goes a moment later.
    attempt 30 docker network create --driver overlay --ingress \
        --opt com.docker.network.driver.mtu="$mtu" ingress >/dev/null
fi
token=$(docker swarm join-token --quiet worker)

key=$(mktemp)
trap 'rm -f "$key" "$key.dropbear"' EXIT
printf '%s\n' "$KEY" >"$key"
dropbearconvert openssh dropbear "$key" "$key.dropbear" >/dev/null 2>&1

join() {
    # $1: a node's address. Its host key is not known before: that the address is the
    # node's is what Neutron's port security takes care of.
    printf '%s\n' "$token $address" |
        dbclient -y -y -T -i "$key.dropbear" "root@$1"
}

state() {
    # $1: a node's address; what the Swarm says of it, or nothing.
    docker node ls --quiet | while read -r id; do
        docker node inspect "$id" --format '{{.Status.Addr}} {{.Status.State}}'
    done | sed -n "s/^$1 //p"
}

for node in $NODES; do
    [ "$(state "$node")" != ready ] || continue
    progress "Taking in $node"
    attempt 60 join "$node"
done

# Those that are gone, and what nodes were before they were made anew.
docker node ls --quiet | while read -r id; do
    found=$(docker node inspect "$id" --format '{{.Status.Addr}} {{.Status.State}}')
    case " $address $NODES " in
    *" ${found% *} "*) [ "${found#* }" = down ] || continue ;;
    esac
    docker node rm --force "$id"
done

complete() {
    # All machines are ready: this one, and the nodes.
    # shellcheck disable=SC2086 # a list
    set -- $NODES
    [ "$(docker node ls --format '{{.Status}}' | grep -c Ready)" -gt $# ]
}
attempt 60 complete

progress "Starting the site"
if docker service inspect site >/dev/null 2>&1; then
    docker service update --quiet --replicas "$REPLICAS" site >/dev/null
else
    # The image is on each machine already, and in no registry.
    docker service create --quiet --no-resolve-image --name site \
        --replicas "$REPLICAS" --publish 80:80 site:1 >/dev/null
fi

docker node ls --format '{{.Hostname}}: {{.Status}}'
