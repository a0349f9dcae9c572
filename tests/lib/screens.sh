# SPDX-License-Identifier: MIT
# Machines that only draw: they are there two seconds after their start even where the processor is emulated.

# drawing_disk FILE: a boot sector that sets VGA's mode 13h and gives each point the high byte of its number as its colour.
drawing_disk() {
    rm -f "$1"
    truncate -s 1M "$1"
    #        mov ax,13h  int 10h push 0a000h pop es, xor di,di; mov ax,di  mov al,ah stosb cmp di,64000   jb     hlt jmp -3
    printf '\xb8\x13\x00\xcd\x10\x68\x00\xa0\x07\x31\xff\x89\xf8\x88\xe0\xaa\x81\xff\x00\xfa\x72\xf5\xf4\xeb\xfd' |
        dd of="$1" conv=notrunc status=none
    printf '\x55\xaa' | dd of="$1" bs=1 seek=510 conv=notrunc status=none
}

# listening_disk FILE: the same, and it fills the screen with the colour whose number is the code of a letter that is typed, and
# switches itself off when its power button is pressed, which it asks the chipset for; that wants <acpi/>.
listening_disk() {
    drawing_disk "$1"
    # Up to the last point as above; then
    #   mov dx,602h mov ax,100h  out dx,ax   enable the power button's event
    #   1: hlt                               until a clock tick
    #   mov dx,600h in ax,dx  test ah,1 jnz 2f   was it pressed?
    #   mov ah,1 int 16h jz 1b  xor ah,ah int 16h  a letter
    #   xor di,di mov cx,64000 rep stosb jmp 1b
    #   2: mov dx,604h mov ax,2000h out dx,ax hlt  off
    printf '\xba\x02\x06\xb8\x00\x01\xef\xf4\xba\x00\x06\xed\xf6\xc4\x01\x75\x13\xb4\x01\xcd\x16\x74\xf0\x30\xe4\xcd\x16\x31\xff\xb9\x00\xfa\xf3\xaa\xeb\xe3\xba\x04\x06\xb8\x00\x20\xef\xf4' |
        dd of="$1" bs=1 seek=22 conv=notrunc status=none
}
listening_domain() { drawing_domain "$@" | sed 's|<devices>|<features><acpi/></features>&|'; }

# drawing_domain FILE [NAME [DESCRIPTION]]: its domain, on stdout; the two are XML
drawing_domain() {
    cat <<EOF
<domain type='qemu'>
  <name>drawing</name>
  <title>${2:-A drawing machine}</title>
  <description>${3:-}</description>
  <memory unit='MiB'>32</memory>
  <vcpu>1</vcpu>
  <os><type arch='x86_64' machine='pc'>hvm</type></os>
  <devices>
    <disk type='file' device='disk'>
      <driver name='qemu' type='raw'/>
      <source file='$1'/>
      <target dev='vda' bus='virtio'/>
    </disk>
    <video><model type='vga'/></video>
  </devices>
</domain>
EOF
}

DRAWING_SIZE='640 400' # its 320 x 200 points are doubled
# It uses the numbers 0 to 249 of VGA's palette; of these 0, 16, 248 and 249 are black, 15 and 31 white.
DRAWING_COLOURS=246
colours_of() { pngtopnm "$1" | ppmhist -noheader 2>/dev/null | wc -l; }
# till_drawn PICTURE COMMAND...: run what takes PICTURE of it after @ seconds: 6, or more if a busy machine has not drawn all by then
till_drawn() {
    local picture=$1 seconds
    shift
    for seconds in 6 40; do
        "${@//@/$seconds}" || return
        [ "$(colours_of "$picture")" != "$DRAWING_COLOURS" ] || return 0
    done
}

# For tests of where a screen is seen, after tests/lib/qemu.sh.
# listening_package TITLE: PACKAGE, of a machine with such a disk
listening_package() {
    PACKAGE=$WORK/listening.nxpk
    listening_disk "$WORK/disk.raw"
    listening_domain "$WORK/disk.raw" "$1" >"$WORK/in.xml"
    "$BUILD/nxpack" -q --no-train "$WORK/in.xml" "$PACKAGE" || die "packing"
}
# show [OPTION...]: nxfetch in the background, until it has said where the screen is: URL, PORT, QEMU.
show() {
    FETCH_LOG=$WORK/nxfetch.log
    : >"$FETCH_LOG" # or we read what the one before has said
    "$BUILD/nxfetch" -v --accel "$ACCEL" --no-network --allow-unsigned "$@" "$PACKAGE" >"$FETCH_LOG" 2>&1 </dev/null &
    FETCH_PID=$!
    case " $* " in *' --web'*) told 30 'for whoever has this address' ;; *) told 30 'its screen' ;; esac
    URL=$(grep -o 'http://[^ ]*' "$FETCH_LOG")
    PORT=$(sed -n 's,.*http://[^/]*:\([0-9]*\)/.*,\1,p' "$FETCH_LOG")
    QEMU=$(part qemu)
}
