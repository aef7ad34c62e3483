#!/bin/sh
# The first process of a machine of its own (tests/src/machine.rs), inside new mount, PID, network and UTS namespaces: this
# machine's files under a layer in memory, its own processes, no network. Ends, and with it every process of the machine and
# all that was written, when its input ends: also when whoever started it was killed.
#
# Usage: machine.sh NAME; prints the process's number outside, then "ready".
set -eu
# Read by the shell itself, while /proc is still the one outside.
read -r outside rest < /proc/self/stat
echo "$outside"
mount -t tmpfs -o mode=0755 ticketgate-machine /mnt
mkdir /mnt/upper /mnt/work /mnt/root
mount -t overlay -o lowerdir=/,upperdir=/mnt/upper,workdir=/mnt/work ticketgate-machine /mnt/root
cd /mnt/root
mount -t proc proc proc
mount --rbind /dev dev
mount -t tmpfs -o mode=0755 run run
mount -t tmpfs -o mode=1777 tmp tmp
# sudo asks for the machine's own name; without a line each call waits for a name server.
hostname "$1"
printf '127.0.0.1 localhost %s\n' "$1" > etc/hosts
[ -s etc/machine-id ] || printf '%032d\n' 7 > etc/machine-id
# What ends without a parent comes to this process, which must not keep it.
exec chroot . /bin/sh -c 'echo ready; exec env --ignore-signal=CHLD cat > /dev/null'
