# nxpack and nxref: from a libvirt domain and its disks to a package.
pack_SRCS := $(filter-out pack/nxpack.c pack/nxref.c,$(wildcard pack/*.c))
pack_PKGS := libnbd lmdb jansson libpng
# Of libvirt only the headers: virt.c loads the library when it is wanted.
pack_PKGS += libvirt
pack_LIBS := -lmagic
PROGRAMS += nxpack nxref
nxpack_MAIN := pack/nxpack.c
nxpack_USES := pack formats common
nxpack_HELP := pack/nxpack.help
nxref_MAIN := pack/nxref.c
nxref_USES := pack formats common
nxref_HELP := pack/nxref.help

EMBEDDERS += pack/nxpack.c pack/nxref.c pack/page.c
pack_nxpack.c_EMBEDS := pack/nxpack.help
pack_nxref.c_EMBEDS := pack/nxref.help
pack_page.c_EMBEDS := pack/page.css
