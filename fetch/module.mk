# nxfetch: transport, cache, engine, FUSE; QEMU, QMP, trust, instances.
fetch_SRCS := $(filter-out fetch/nxfetch.c,$(wildcard fetch/*.c))
fetch_PKGS := fuse3 lmdb jansson libseccomp libmicrohttpd
PROGRAMS += nxfetch
nxfetch_MAIN := fetch/nxfetch.c
nxfetch_USES := fetch formats common
nxfetch_HELP := fetch/nxfetch.help

EMBEDDERS += fetch/nxfetch.c fetch/screen.c
fetch_nxfetch.c_EMBEDS := fetch/nxfetch.help
fetch_screen.c_EMBEDS := $(addprefix fetch/screen/screen.,html css js)

EMBEDDERS += fetch/statuspage.c
fetch_statuspage.c_EMBEDS := $(addprefix fetch/status/status.,html css js)
