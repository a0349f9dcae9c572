#!/bin/bash
# SPDX-License-Identifier: MIT
# Domains that reach for the host, in every way that libvirt knows: on the author's side (nxpack reduces them) and in a
# forged package (nxfetch parses what it finds) each is refused, or replaced: QEMU's command line has nothing of it, and
# names no file but those of the run and QEMU's own.  "NXHOST" stands for whatever is the host's.
set -u
cd "$(dirname "$0")/.." || exit 1
ARGV=$BUILD/tools/machine-argv
work=$(mktemp -d "${TMPDIR:-/tmp}/nxpk-reach.XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
tried=0 refused=0 replaced=0 failed=0

# What may stand in an argument: files of the run, QEMU's, and devices of which we are sure.
own_paths() {
    grep -oE '(^|[^A-Za-z0-9_.])/[A-Za-z0-9_.+/-]+' "$1" | sed 's/^[^/]*//' |
        grep -vE "^($work/run/|/usr/share/|/usr/bin/qemu-system-|/dev/urandom\$)"
}

# put PLACE BASE XML: the base with the XML in the domain, its <os>, its <devices>, or in the place of a device.
put() {
    case $1 in
    domain) sed "s|^  <clock|  @@\n&|" "$2" ;;
    os) sed "s|^    <boot|    @@\n&|" "$2" ;;
    devices) sed "s|^    <memballoon|    @@\n&|" "$2" ;;
    disk) sed "/<disk /,/<.disk>/c\    @@" "$2" ;;
    in-disk) sed "s|^      <target dev=.vda|      @@\n&|" "$2" ;;
    nic) sed "/<interface /,/<.interface>/c\    @@" "$2" ;;
    in-nic) sed "s|^      <model type=.virtio./>|      @@\n&|" "$2" ;;
    serial) sed "/<serial /,/<.serial>/c\    @@" "$2" ;;
    memballoon) sed "/<memballoon /,/<.memballoon>/c\    @@" "$2" ;;
    esac | XML=$3 awk '
        at = index($0, "@@") { print substr($0, 1, at - 1) ENVIRON["XML"] substr($0, at + 2); found = 1; next }
        { print }
        END { exit !found }'
}

# try PLACE XML: on both sides.
try() {
    local side status
    for side in author package; do
        tried=$((tried + 1)) status=0
        put "$1" "$work/$side.xml" "$2" >"$work/case.xml" || { echo "FAILED: no place $1"; exit 1; }
        "$ARGV" $([ $side = author ] || echo -p) "$work/case.xml" "$work/run" >"$work/argv" 2>"$work/err" || status=$?
        : >"$work/paths"
        if [ $status = 1 ] && [ -s "$work/err" ]; then
            refused=$((refused + 1))
        elif [ $status = 0 ] && ! grep -q NXHOST "$work/argv" && ! own_paths "$work/argv" >"$work/paths"; then
            replaced=$((replaced + 1))
        else
            failed=$((failed + 1))
            echo "FAILED, $side: $1 $2: status $status" "$(cat "$work/err" "$work/paths")" "$(grep NXHOST "$work/argv")"
        fi
    done
}

sed "s|@DIR@|/NXHOST|; s|<domain type='qemu'>|<domain type='qemu' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>|" tests/guests/tiny.xml >"$work/author.xml"
"$ARGV" -r "$work/author.xml" >"$work/package.xml" || { echo "FAILED: the domain itself"; exit 1; }
# The net is not torn: the domain itself passes, and a foreign path would be seen.
for side in author package; do
    "$ARGV" $([ $side = author ] || echo -p) "$work/$side.xml" "$work/run" >"$work/argv" || { echo "FAILED: the domain itself"; exit 1; }
    grep -q "$work/run/disk0" "$work/argv" || { echo "FAILED: it has no disk"; exit 1; }
    own_paths "$work/argv" && { echo "FAILED: paths in the domain itself"; exit 1; }
done
printf 'file=/home/x,y\n' >"$work/argv" && own_paths "$work/argv" >"$work/paths" || { echo "FAILED: a path is not seen"; exit 1; }

while IFS='|' read -r place xml; do
    case $place in '' | \#*) continue ;; esac
    try "$place" "$xml"
done <<'CASES'
# disks: where they are, what is behind them, what the host does for them
disk|<disk type='block' device='disk'><source dev='/dev/NXHOST'/><target dev='vda' bus='virtio'/></disk>
disk|<disk type='block' device='lun' sgio='unfiltered' rawio='yes'><source dev='/dev/NXHOST'/><target dev='sda' bus='scsi'/></disk>
disk|<disk type='dir' device='floppy'><source dir='/NXHOST'/><target dev='fda' bus='fdc'/></disk>
disk|<disk type='network'><source protocol='nbd' name='NXHOST'><host name='NXHOST' port='1'/></source><target dev='vda' bus='virtio'/></disk>
disk|<disk type='network'><source protocol='nbd' name='x'><host transport='unix' socket='/NXHOST'/></source><target dev='vda' bus='virtio'/></disk>
disk|<disk type='network'><source protocol='http' name='NXHOST'><host name='NXHOST' port='80'/><cookies><cookie name='a'>NXHOST</cookie></cookies></source><target dev='vda' bus='virtio'/></disk>
disk|<disk type='network'><source protocol='iscsi' name='iqn.NXHOST/1'><host name='NXHOST'/><auth username='NXHOST'><secret type='iscsi' usage='NXHOST'/></auth></source><target dev='vda' bus='virtio'/></disk>
disk|<disk type='network'><source protocol='rbd' name='NXHOST'><config file='/NXHOST'/></source><target dev='vda' bus='virtio'/></disk>
disk|<disk type='network'><source protocol='ssh' name='/NXHOST'><host name='NXHOST'/><identity username='NXHOST' keyfile='/NXHOST'/></source><target dev='vda' bus='virtio'/></disk>
disk|<disk type='volume'><source pool='NXHOST' volume='NXHOST'/><target dev='vda' bus='virtio'/></disk>
disk|<disk type='nvme'><source type='pci' managed='yes' namespace='1'><address domain='0x0000' bus='0x01' slot='0x00' function='0x0'/></source><target dev='vda' bus='virtio'/></disk>
disk|<disk type='vhostuser'><source type='unix' path='/NXHOST'/><target dev='vda' bus='virtio'/></disk>
disk|<disk type='vhostvdpa'><source dev='/dev/NXHOST'/><target dev='vda' bus='virtio'/></disk>
disk|<disk type='file' snapshot='external'><source file='/NXHOST' startupPolicy='optional'/><target dev='vda' bus='virtio'/><transient/></disk>
disk|<disk type='file'><source file='json:{"file.driver":"nbd","file.path":"/NXHOST"}'/><target dev='vda' bus='virtio'/></disk>
disk|<disk type='file'><source file='nbd:unix:/NXHOST'/><target dev='vda' bus='virtio'/></disk>
disk|<disk type='file'><source file='/NXHOST' fdgroup='NXHOST'/><target dev='vda' bus='virtio'/></disk>
in-disk|<backingStore type='file'><format type='raw'/><source file='/NXHOST'/></backingStore>
in-disk|<mirror type='file' job='copy'><source file='/NXHOST'/></mirror>
in-disk|<encryption format='luks'><secret type='passphrase' usage='NXHOST'/></encryption>
in-disk|<serial>/dev/NXHOST</serial>
in-disk|<vendor>NXHOST,file=/x</vendor>
in-disk|<image>../NXHOST</image>
in-disk|<source file='/NXHOST'><reservations managed='no'><source type='unix' path='/NXHOST' mode='client'/></reservations></source>
in-disk|<source file='/NXHOST'><seclabel model='dac' relabel='yes'><label>NXHOST</label></seclabel></source>
# network cards
nic|<interface type='bridge'><source bridge='NXHOST'/><model type='virtio'/></interface>
nic|<interface type='network'><source network='NXHOST'/><model type='virtio'/></interface>
nic|<interface type='ethernet'><script path='/NXHOST'/><target dev='NXHOST'/><model type='virtio'/></interface>
nic|<interface type='direct'><source dev='NXHOST' mode='passthrough'/><model type='virtio'/></interface>
nic|<interface type='hostdev'><source><address type='pci' domain='0x0000' bus='0x01' slot='0x00' function='0x0'/></source></interface>
nic|<interface type='vhostuser'><source type='unix' path='/NXHOST' mode='client'/><model type='virtio'/></interface>
nic|<interface type='vdpa'><source dev='/dev/NXHOST'/></interface>
nic|<interface type='udp'><source address='NXHOST' port='1'><local address='NXHOST' port='2'/></source><model type='virtio'/></interface>
nic|<interface type='client'><source address='NXHOST' port='1'/><model type='virtio'/></interface>
nic|<interface type='server'><source address='NXHOST' port='1'/><model type='virtio'/></interface>
nic|<interface type='mcast'><source address='NXHOST' port='1'/><model type='virtio'/></interface>
nic|<interface type='internal'><source name='NXHOST'/><model type='virtio'/></interface>
nic|<interface type='null'><model type='virtio'/></interface>
nic|<interface type='user'><backend type='passt' logFile='/NXHOST'/><source dev='NXHOST'/><model type='virtio'/></interface>
nic|<interface type='user'><portForward proto='tcp' dev='NXHOST'><range start='22' to='2222'/></portForward><model type='virtio'/></interface>
nic|<interface type='user'><ip family='ipv4' address='10.0.2.2' prefix='24'/><route address='0.0.0.0' gateway='NXHOST'/><model type='virtio'/></interface>
nic|<interface type='user'><model type='virtio,romfile=/NXHOST'/></interface>
in-nic|<backend tap='/NXHOST' vhost='/NXHOST'/>
in-nic|<filterref filter='NXHOST'/>
in-nic|<rom bar='on' file='/NXHOST'/>
in-nic|<target dev='NXHOST'/>
in-nic|<guest dev='NXHOST'/>
in-nic|<boot order='1' loadparm='NXHOST'/>
# ports
serial|<serial type='file'><source path='/NXHOST' append='on'/><target port='0'/></serial>
serial|<serial type='dev'><source path='/dev/NXHOST'/><target port='0'/></serial>
serial|<serial type='pipe'><source path='/NXHOST'/><target port='0'/></serial>
serial|<serial type='unix'><source mode='bind' path='/NXHOST'/><target port='0'/></serial>
serial|<serial type='tcp'><source mode='connect' host='NXHOST' service='1'/><protocol type='telnet'/><target port='0'/></serial>
serial|<serial type='udp'><source mode='connect' host='NXHOST' service='1'/><target port='0'/></serial>
serial|<serial type='stdio'><target port='0'/></serial>
serial|<serial type='nmdm'><source master='/NXHOST' slave='/NXHOST'/><target port='0'/></serial>
serial|<serial type='spiceport'><source channel='NXHOST'/><target port='0'/></serial>
serial|<serial type='pty'><source path='/NXHOST'/><log file='/NXHOST' append='on'/><target port='0'/></serial>
serial|<serial type='dbus'><source channel='NXHOST'/><target port='0'/></serial>
devices|<parallel type='file'><source path='/NXHOST'/><target port='0'/></parallel>
devices|<parallel type='dev'><source path='/dev/NXHOST'/><target port='0'/></parallel>
devices|<console type='file'><source path='/NXHOST'/><target type='virtio' port='1'/></console>
devices|<channel type='unix'><source mode='bind' path='/NXHOST'/><target type='virtio' name='org.qemu.guest_agent.0'/></channel>
devices|<channel type='pty'><target type='guestfwd' address='10.0.2.1' port='4600'/></channel>
devices|<channel type='qemu-vdagent'><source><clipboard copypaste='yes'/></source><target type='virtio' name='com.redhat.spice.0'/></channel>
devices|<channel type='spicevmc'><target type='virtio' name='com.redhat.spice.0,path=/NXHOST'/></channel>
# devices of the host, or beside the guest
devices|<hostdev mode='subsystem' type='usb'><source><vendor id='0x1'/><product id='0x2'/></source></hostdev>
devices|<hostdev mode='subsystem' type='pci' managed='yes'><source><address domain='0x0000' bus='0x01' slot='0x00' function='0x0'/></source></hostdev>
devices|<hostdev mode='subsystem' type='scsi'><source><adapter name='NXHOST'/><address bus='0' target='0' unit='0'/></source></hostdev>
devices|<hostdev mode='subsystem' type='scsi_host'><source protocol='vhost' wwpn='naa.NXHOST'/></hostdev>
devices|<hostdev mode='subsystem' type='mdev' model='vfio-pci'><source><address uuid='c2177883-f1bb-47f0-914d-32a22e3a8804'/></source></hostdev>
devices|<hostdev mode='capabilities' type='storage'><source><block>/dev/NXHOST</block></source></hostdev>
devices|<hostdev mode='capabilities' type='misc'><source><char>/dev/NXHOST</char></source></hostdev>
devices|<filesystem type='mount' accessmode='mapped'><source dir='/NXHOST'/><target dir='x'/></filesystem>
devices|<filesystem type='mount'><driver type='virtiofs'/><binary path='/NXHOST'/><source dir='/NXHOST'/><target dir='x'/></filesystem>
devices|<filesystem type='mount'><driver type='virtiofs'/><source socket='/NXHOST'/><target dir='x'/></filesystem>
devices|<filesystem type='ram'><source usage='1' units='KiB'/><target dir='x'/></filesystem>
devices|<redirdev bus='usb' type='tcp'><source mode='connect' host='NXHOST' service='1'/></redirdev>
devices|<redirdev bus='usb' type='spicevmc'/>
devices|<smartcard mode='host'/>
devices|<smartcard mode='host-certificates'><certificate>NXHOST</certificate><certificate>b</certificate><certificate>c</certificate><database>/NXHOST</database></smartcard>
devices|<smartcard mode='passthrough' type='tcp'><source mode='bind' host='NXHOST' service='1'/></smartcard>
devices|<tpm model='tpm-tis'><backend type='passthrough'><device path='/dev/NXHOST'/></backend></tpm>
devices|<tpm model='tpm-tis'><backend type='emulator' version='2.0'><encryption secret='6dd3e4a5-1d76-44ce-961f-f119f5aad935'/></backend></tpm>
devices|<tpm model='tpm-tis'><backend type='external'><source type='unix' mode='connect' path='/NXHOST'/></backend></tpm>
devices|<rng model='virtio'><backend model='random'>/dev/NXHOST</backend></rng>
devices|<rng model='virtio'><backend model='egd' type='udp'><source mode='connect' host='NXHOST' service='1'/></backend></rng>
devices|<rng model='virtio'><backend model='egd' type='unix'><source mode='connect' path='/NXHOST'/></backend></rng>
devices|<shmem name='NXHOST'><model type='ivshmem-plain'/><size unit='M'>4</size></shmem>
devices|<shmem name='x'><model type='ivshmem-doorbell'/><server path='/NXHOST'/></shmem>
devices|<vsock model='virtio'><cid auto='no' address='3'/></vsock>
devices|<memory model='nvdimm'><source><path>/NXHOST</path></source><target><size unit='KiB'>524288</size><node>0</node></target></memory>
devices|<memory model='virtio-pmem'><source><path>/NXHOST</path></source><target><size unit='KiB'>524288</size></target></memory>
devices|<input type='passthrough' bus='virtio'><source evdev='/dev/NXHOST'/></input>
devices|<input type='evdev'><source dev='/dev/NXHOST' grab='all'/></input>
devices|<graphics type='vnc' port='5900' listen='0.0.0.0' passwd='NXHOST'><listen type='address' address='0.0.0.0'/></graphics>
devices|<graphics type='vnc' socket='/NXHOST'><listen type='socket' socket='/NXHOST'/></graphics>
devices|<graphics type='spice' port='5900' tlsPort='1' listen='NXHOST'><gl enable='yes' rendernode='/dev/NXHOST'/></graphics>
devices|<graphics type='sdl' display='NXHOST' xauth='/NXHOST'/>
devices|<graphics type='egl-headless'><gl rendernode='/dev/NXHOST'/></graphics>
devices|<graphics type='dbus' address='unix:path=/NXHOST'/>
devices|<graphics type='rdp' port='1' multiUser='yes' listen='NXHOST'/>
devices|<graphics type='desktop' display='NXHOST'/>
devices|<video><driver name='vhostuser' vgaconf='io'/><model type='virtio'/></video>
devices|<video><model type='virtio'><acceleration accel3d='yes' rendernode='/dev/NXHOST'/></model></video>
devices|<audio id='1' type='file' path='/NXHOST'/>
devices|<audio id='1' type='oss'><input dev='/dev/NXHOST'/><output dev='/dev/NXHOST'/></audio>
devices|<audio id='1' type='pulseaudio' serverName='NXHOST'/>
devices|<audio id='1' type='jack'><input serverName='NXHOST'/></audio>
devices|<audio id='1' type='alsa'><output dev='NXHOST'/></audio>
devices|<lease><lockspace>NXHOST</lockspace><key>x</key><target path='/NXHOST'/></lease>
devices|<crypto model='virtio' type='qemu'><backend model='lkcf' queues='1'/></crypto>
devices|<panic model='pvpanic'/>
devices|<watchdog model='i6300esb' action='dump'/>
devices|<pstore backend='acpi-erst'><path>/NXHOST</path><size unit='KiB'>8</size></pstore>
devices|<emulator>/NXHOST</emulator>
devices|<nvram><address type='spapr-vio' reg='0x3000'/></nvram>
devices|<controller type='usb' index='5' model='NXHOST,x=/y'/>
memballoon|<memballoon model='virtio'><rom file='/NXHOST'/></memballoon>
# what it boots from
os|<kernel>/NXHOST</kernel><initrd>/NXHOST</initrd><cmdline>NXHOST</cmdline>
os|<dtb>/NXHOST</dtb>
os|<loader readonly='yes' type='pflash'>/NXHOST</loader><nvram template='/NXHOST'>/NXHOST</nvram>
os|<loader readonly='no' type='rom'>/NXHOST</loader>
os|<nvram type='network'><source protocol='iscsi' name='NXHOST'><host name='NXHOST'/></source></nvram>
os|<acpi><table type='slic'>/NXHOST</table></acpi>
os|<smbios mode='host'/>
os|<shim>/NXHOST</shim>
os|<init>/NXHOST</init>
domain|<bootloader>/NXHOST</bootloader>
domain|<sysinfo type='fwcfg'><entry name='opt/x' file='/NXHOST'/></sysinfo>
domain|<sysinfo type='smbios'><system><entry name='serial'>NXHOST,file=/x</entry></system></sysinfo>
# how the host treats it
domain|<memoryBacking><hugepages/><source type='file'/><allocation mode='immediate'/></memoryBacking>
domain|<memoryBacking><access mode='shared'/><source type='memfd'/></memoryBacking>
domain|<numatune><memory mode='strict' nodeset='0'/></numatune>
domain|<cputune><emulatorpin cpuset='0'/></cputune>
domain|<resource><partition>/NXHOST</partition></resource>
domain|<seclabel type='static' model='dac' relabel='yes'><label>NXHOST</label></seclabel>
domain|<launchSecurity type='sev'><policy>0x0001</policy><dhCert>NXHOST</dhCert><session>NXHOST</session></launchSecurity>
domain|<iothreads>4</iothreads>
domain|<idmap><uid start='0' target='0' count='1'/></idmap>
domain|<pm><suspend-to-disk enabled='yes'/></pm>
domain|<keywrap><cipher name='aes' state='on'/></keywrap>
domain|<metadata><x xmlns='urn:x'>NXHOST</x></metadata>
domain|<qemu:commandline><qemu:arg value='-drive'/><qemu:arg value='file=/NXHOST'/><qemu:env name='LD_PRELOAD' value='/NXHOST'/></qemu:commandline>
domain|<qemu:override><qemu:device alias='net0'><qemu:frontend><qemu:property name='romfile' type='string' value='/NXHOST'/></qemu:frontend></qemu:device></qemu:override>
domain|<qemu:deprecation behavior='NXHOST'/>
domain|<qemu:capabilities><qemu:add capability='NXHOST'/></qemu:capabilities>
domain|<on_lockfailure>poweroff</on_lockfailure>
# names that would be options
domain|<title>NXTITLE,file=/etc/passwd</title>
domain|<genid>NXHOST</genid>
CASES
[ $failed = 0 ] || { echo "$failed of $tried have reached the host"; exit 1; }
[ $tried -ge 200 ] && [ $refused -ge 50 ] && [ $replaced -ge 20 ] || { echo "FAILED: tried $tried, refused $refused, replaced $replaced"; exit 1; }
echo "$tried domains: $refused refused, $replaced with nothing of the host's left in them"
