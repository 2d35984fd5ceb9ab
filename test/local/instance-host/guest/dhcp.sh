#!/bin/sh
# What udhcpc(8) calls.
[ "$1" = bound ] || exit 0
ip addr add "${ip:?}/${mask:?}" dev "${interface:?}"
ip route add default via "${router:?}"
