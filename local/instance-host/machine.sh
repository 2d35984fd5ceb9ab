#!/bin/sh
# Runs a machine (QEMU, given as arguments) for as long as standard input stays open: it is a pipe from the local cloud, so a cloud
# that dies, however it dies, takes its machines with it.
set -u

# A job in the background would get /dev/null for its standard input.
exec 3<&0
"$@" 3<&- </dev/null &
machine=$!
{
    cat <&3 4<&- >/dev/null
    kill -KILL "${machine}"
} 2>/dev/null &
exec 3<&-
wait "${machine}"
