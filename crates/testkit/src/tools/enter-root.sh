#!/bin/sh
# Runs a command inside another root directory, in the mount namespace that it was started in.
# usage: enter-root ROOT [DIRECTORY]... -- COMMAND [ARGUMENT]...
set -eu

root=$1
shift
mount --make-rprivate /

# An overlay with its upper half in memory keeps the root as it is, and is a mount point, as pivot_root demands.
mount -t tmpfs peer "$root/mnt"
mkdir "$root/mnt/upper" "$root/mnt/work" "$root/mnt/root"
mount -t overlay peer -o "lowerdir=$root,upperdir=$root/mnt/upper,workdir=$root/mnt/work" "$root/mnt/root"
root=$root/mnt/root

mount -t proc proc "$root/proc"
mount --rbind /sys "$root/sys"
mount --rbind /dev "$root/dev"
mount -t tmpfs shm "$root/dev/shm"
mount -t tmpfs run "$root/run"
mount -t tmpfs tmp "$root/tmp"
while [ "$1" != -- ]; do
    mkdir -p "$root$1"
    mount --rbind "$1" "$root$1"
    shift
done
shift

mkdir "$root/run/outside"
cd "$root"
pivot_root . run/outside
cd /
umount -l /run/outside
exec "$@"
