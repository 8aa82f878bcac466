#!/bin/busybox sh
# The guest's first process: loads the modules, mounts the two disks, and becomes the scenario's script on them.
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev
for module in /modules/*.ko; do insmod "$module"; done
tries=0
while [ ! -e /dev/vdb ] && [ $tries -lt 100 ]; do usleep 20000; tries=$((tries + 1)); done
mount -t ext4 -o ro /dev/vda /root
mount -t ext4 -o ro /dev/vdb /root/framekeep
for directory in tmp run mnt huge disk; do mount -t tmpfs tmpfs /root/$directory; done
cp /script.sh /root/tmp/script.sh
for directory in dev proc sys; do mount --move /$directory /root/$directory; done
mkdir -p /root/dev/shm; mount -t tmpfs tmpfs /root/dev/shm
exec switch_root /root /bin/sh -c '. /framekeep/test/vm/guest/words.sh; . /tmp/script.sh; poweroff -f'
