# Errors, cleanup, buffers, logging, progress, processes, HTTP: what every layer uses.
common_SRCS := $(wildcard common/*.c)
common_PKGS := libcurl libcrypto jansson
