# SPDX-License-Identifier: MIT
# Commands that the small guests have beside busybox: written by sourcing this with the target folder in $bin.
command_in_guest() {
    { echo '#!/bin/sh'; cat; } >"$bin/$1"
    chmod 755 "$bin/$1"
}

# Every file of the data partition as it was made?
command_in_guest check-data <<'END'
cd /data && sha256sum -s -c SHA256SUMS && echo "check-data OK"
END
# The checksum of a whole disk, past the page cache's idea of it.
command_in_guest check-disk <<'END'
echo 3 >/proc/sys/vm/drop_caches
exec sha256sum "${1:-/dev/vda}"
END
# An address by DHCP on the first network card.
command_in_guest net-up <<'END'
ip link set eth0 up && udhcpc -q -n -t 5 -i eth0 -s /bin/net-configure
END
command_in_guest net-configure <<'END'
[ "$1" != bound ] || { ip addr add "$ip/$mask" dev "$interface" && ip route add default via "$router"; }
END
