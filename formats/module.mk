# Bytes to structs and back.  Never prints, exits, or opens a socket.
formats_SRCS := $(wildcard formats/*.c)
formats_PKGS := jansson libarchive libxml-2.0 libzstd libcrypto
EMBEDDERS += formats/domain.c
formats_domain.c_EMBEDS := formats/domain.rng
EMBEDDERS += formats/manifest.c formats/reference.c
formats_manifest.c_EMBEDS := formats/manifest.rng
formats_reference.c_EMBEDS := formats/reference.rng
