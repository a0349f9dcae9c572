# SPDX-License-Identifier: MIT
# A machine that only draws: it is there two seconds after its start even where the processor is emulated.

# drawing_disk FILE: a boot sector that sets VGA's mode 13h and gives each point the high byte of its number as its colour.
drawing_disk() {
    rm -f "$1"
    truncate -s 1M "$1"
    #        mov ax,13h  int 10h push 0a000h pop es, xor di,di; mov ax,di  mov al,ah stosb cmp di,64000   jb     hlt jmp -3
    printf '\xb8\x13\x00\xcd\x10\x68\x00\xa0\x07\x31\xff\x89\xf8\x88\xe0\xaa\x81\xff\x00\xfa\x72\xf5\xf4\xeb\xfd' |
        dd of="$1" conv=notrunc status=none
    printf '\x55\xaa' | dd of="$1" bs=1 seek=510 conv=notrunc status=none
}

# button_disk FILE: the same, and it switches itself off when its power button is pressed: ACPI's, as QEMU's PIIX4 has it.
button_disk() {
    drawing_disk "$1"
    # mov dx,602h  mov ax,100h out mov dx,600h sti; hlt in test ah,1   jz mov dx,604h mov ax,2000h out hlt jmp -3
    printf '\xba\x02\x06\xb8\x00\x01\xef\xba\x00\x06\xfb\xf4\xed\xf6\xc4\x01\x74\xf9\xba\x04\x06\xb8\x00\x20\xef\xf4\xeb\xfd' |
        dd of="$1" bs=1 seek=22 conv=notrunc status=none
}

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
