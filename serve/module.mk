# nxserve: a small static server and CGI, and the one table of media types.
serve_SRCS := $(filter-out serve/nxserve.c,$(wildcard serve/*.c))
serve_PKGS := libmicrohttpd
PROGRAMS += nxserve
nxserve_MAIN := serve/nxserve.c
nxserve_USES := serve formats common
nxserve_HELP := serve/nxserve.help

EMBEDDERS += serve/nxserve.c serve/snippet.c
serve_nxserve.c_EMBEDS := serve/nxserve.help
serve_snippet.c_EMBEDS := $(addprefix serve/snippets/,nginx.in apache.in lighttpd.in caddy.in)
# Where the configurations will be installed: they say so.
$(B)/serve/snippet.o: CPPFLAGS += -DNX_DATADIR='"$(DATADIR)"'
