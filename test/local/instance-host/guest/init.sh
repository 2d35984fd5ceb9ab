#!/bin/sh
# Process 1 of the stand-in for a worker's system: network by DHCP, user-data by IMDSv2 or from the disk called cidata, whichever
# `userdata=` on the kernel's command line says, and nothing else. It ends in power-off.
export PATH=/usr/bin:/usr/sbin HOME=/root LANG=C
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mount -t tmpfs tmp /run
# Modules by names in an order that needs no depmod.
for module in /usr/lib/guest-modules/*.ko; do insmod "${module}"; done
ip link set lo up
ip link set eth0 up
udhcpc -q -n -t 20 -i eth0 -s /usr/lib/guest-dhcp >/dev/null 2>&1 || echo 'guest: no address'
echo "guest: up after $(cut -d ' ' -f 1 /proc/uptime) s"

script=/root/user-data
case $(cat /proc/cmdline) in
*userdata=imds*)
    metadata=http://169.254.169.254/latest
    token=$(curl -sSf -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 300' "${metadata}/api/token") &&
        curl -sSf -H "X-aws-ec2-metadata-token: ${token}" -o "${script}" "${metadata}/user-data"
    ;;
*userdata=cidata*)
    seed=$(blkid | sed -n 's/^\([^:]*\):.*LABEL="cidata".*/\1/p')
    mount -t vfat -o ro "${seed}" /mnt && cp /mnt/user-data "${script}"
    echo "guest: seed $(tr '\n' ' ' </mnt/meta-data)"
    ;;
esac
chmod 700 "${script}"
"${script}" </dev/null
echo "guest: user-data ended with status $?"
# What powers off goes on while its caller ends.
sleep 20
poweroff -f
