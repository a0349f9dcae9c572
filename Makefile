# SPDX-License-Identifier: MIT
# nxpk: one make for everything.  `make help` lists what it can do.
# Each folder says in its module.mk which libraries and programs it has.

VERSION := 0.1.0

PREFIX     ?= /usr/local
BINDIR     ?= $(PREFIX)/bin
MANDIR     ?= $(PREFIX)/share/man
DATADIR    ?= $(PREFIX)/share/nxpk
UNITDIR    ?= $(PREFIX)/lib/systemd/system
DESTDIR    ?=
ifeq ($(origin CC),default)
CC         := gcc
endif
CFLAGS     ?= -O2 -g
SANITIZE   ?=
T          ?=

MAKEFLAGS += --no-builtin-rules
.DELETE_ON_ERROR:
.SECONDARY:
.PHONY: FORCE all deps demo check check-all check-minutes check-unit check-headers check-layers check-format format analyze \
        check-sanitizers fuzz fuzz-corpus bench install uninstall clean help man

ifeq ($(V),1)
  Q :=
  say = @:
else
  Q := @
  say = @printf '  %-8s %s\n' $(1) '$(2)'
endif

comma := ,
# One build folder for each combination of compiler and sanitizers.
B := build/$(notdir $(CC))$(if $(SANITIZE),-$(subst $(comma),-,$(SANITIZE)))$(if $(FUZZ),-fuzz)

all: programs man units

# ---- what the folders have ---------------------------------------------------

MODULES  := common formats pack serve fetch
PROGRAMS :=
include $(MODULES:%=%/module.mk) tests/module.mk completion/module.mk

PKGS := $(sort $(foreach m,$(MODULES) tests,$($(m)_PKGS)))

NX_CPPFLAGS := -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -I. -I$(B) -DNX_VERSION='"$(VERSION)"'
NX_CFLAGS   := -std=gnu11 -fvisibility=hidden -pthread -fstack-protector-strong -fPIE \
               -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wold-style-definition \
               -Wpointer-arith -Wwrite-strings -Wvla -Wformat=2 -Wno-unused-parameter -Wundef \
               $(if $(DEVELOPER),-Werror)
NX_LDFLAGS  := -pie -pthread -Wl,--as-needed -Wl,-z,relro,-z,now
ifneq ($(SANITIZE),)
  NX_CFLAGS  += -fsanitize=$(SANITIZE) -fno-omit-frame-pointer -fno-sanitize-recover=undefined
  NX_LDFLAGS += -fsanitize=$(SANITIZE)
else
  NX_CPPFLAGS += $(if $(filter -O%,$(CFLAGS)),-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2)
endif
# Without what only tests need, the programs can be built all the same.
PKG_CFLAGS := $(shell pkg-config --cflags $(PKGS) 2>/dev/null || \
                pkg-config --cflags $(sort $(foreach m,$(MODULES),$($(m)_PKGS))) 2>/dev/null)
PKG_LIBS    = $(shell pkg-config --libs $(sort $(foreach m,$(1),$($(m)_PKGS)))) $(foreach m,$(1),$($(m)_LIBS))

# Everything is built anew when the flags change.
$(B)/flags: FORCE
	@mkdir -p $(B)
	@echo '$(CC) $(NX_CPPFLAGS) $(NX_CFLAGS) $(CFLAGS) $(NX_LDFLAGS) $(LDFLAGS) $(PKG_CFLAGS)' | \
	    { cmp -s - $@ || { echo '$(CC) $(NX_CPPFLAGS) $(NX_CFLAGS) $(CFLAGS) $(NX_LDFLAGS) $(LDFLAGS) $(PKG_CFLAGS)' > $@; }; }
FORCE:

$(B)/%.o: %.c $(B)/flags
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(NX_CPPFLAGS) $(CPPFLAGS) $(PKG_CFLAGS) $(NX_CFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

# A static library for each folder; a program is its main file and the libraries to its left.
define module_rules
$(1)_OBJS := $$($(1)_SRCS:%.c=$(B)/%.o)
$(B)/$(1).a: $$($(1)_OBJS)
	$$(call say,AR,$$@)
	$$(Q)rm -f $$@ && ar rcs $$@ $$^
endef
$(foreach m,$(MODULES) tests,$(eval $(call module_rules,$(m))))

define program_rules
$(B)/$(1): $(B)/$($(1)_MAIN:.c=.o) $($(1)_USES:%=$(B)/%.a)
	@mkdir -p $$(@D)
	$$(call say,LINK,$$@)
	$$(Q)$(CC) $(NX_CFLAGS) $(CFLAGS) $(NX_LDFLAGS) $(LDFLAGS) -o $$@ $(B)/$($(1)_MAIN:.c=.o) $($(1)_USES:%=$(B)/%.a) $$(call PKG_LIBS,$($(1)_USES))
endef
$(foreach p,$(PROGRAMS) $(TEST_PROGRAMS) $(FUZZ_PROGRAMS),$(eval $(call program_rules,$(p))))

.PHONY: programs
programs: $(PROGRAMS:%=$(B)/%)

# An object that embeds files (NX_EMBED) is made anew when they change.
define embed_rule
$(B)/$(1:.c=.o): $($(subst /,_,$(1))_EMBEDS)
endef
$(foreach s,$(EMBEDDERS),$(eval $(call embed_rule,$(s))))

-include $(shell find $(B) -name '*.d' 2>/dev/null)

# ---- manual pages: prose from docs/man, the options from the program's own help ----

MANPAGES := $(PROGRAMS:%=$(B)/man/%.1)
man: $(MANPAGES)
$(B)/man/%.1: docs/man/%.1.in docs/man/make-man.sh
	@mkdir -p $(@D)
	$(call say,MAN,$@)
	$(Q)sh docs/man/make-man.sh $< $(filter %.help,$^) $(VERSION) > $@
$(foreach p,$(PROGRAMS),$(eval $(B)/man/$(p).1: $($(p)_HELP)))

# ---- systemd units: they name the program where it will be installed ----------

UNITS := $(patsubst %.service.in,$(B)/%.service,$(notdir $(wildcard serve/*.service.in)))
.PHONY: units $(UNITS)
units: $(UNITS)
$(UNITS): $(B)/%.service: serve/%.service.in
	@mkdir -p $(@D)
	$(Q)sed 's,@BINDIR@,$(BINDIR),' $< > $@.new && { cmp -s $@.new $@ && rm $@.new || mv $@.new $@; }

# ---- for a fresh machine -----------------------------------------------------

deps:
	@sh tests/deps.sh

# One compiler for each processor, unless make was told how many.
COMPILERS = $(if $(filter -j% --jobserver%,$(MAKEFLAGS)),,-j$(shell nproc))

demo:
	@$(MAKE) --no-print-directory deps
	@$(MAKE) --no-print-directory $(COMPILERS) all
	@BUILD=$(B) sh tests/demo.sh

check:
	@$(MAKE) --no-print-directory deps
	@$(MAKE) --no-print-directory $(COMPILERS) tested
	@$(MAKE) --no-print-directory check-run TESTS='$(CHECK_TESTS)'

check-all:
	@$(MAKE) --no-print-directory deps
	@$(MAKE) --no-print-directory $(COMPILERS) tested
	@$(MAKE) --no-print-directory check-run TESTS='$(CHECK_TESTS) $(SLOW_TESTS)'

check-minutes:
	@$(MAKE) --no-print-directory check-run TESTS='$(MINUTES_TESTS)'

.PHONY: tested check-run
tested: all $(TEST_PROGRAMS:%=$(B)/%) $(TEST_PRELOADS)
check-run: tested
	@BUILD=$(B) T='$(T)' bash tests/run.sh $(TESTS)

check-unit: $(TEST_PROGRAMS:%=$(B)/%)
	@BUILD=$(B) T='$(T)' bash tests/run.sh $(UNIT_TESTS)

check-sanitizers:
	@bash tests/sanitizers.sh

# ---- for developers ----------------------------------------------------------

SOURCES = $(shell git ls-files '*.c' '*.h' 2>/dev/null)
HEADERS = $(filter %.h,$(SOURCES))

check-headers:
	$(Q)for h in $(HEADERS); do \
	    $(CC) $(NX_CPPFLAGS) $(PKG_CFLAGS) $(NX_CFLAGS) -Werror -Wno-unused-function -fsyntax-only -x c -include $$h /dev/null || exit 1; done
	@echo 'check-headers: $(words $(HEADERS)) headers stand alone'

check-layers:
	$(Q)sh tests/check-layers.sh $(MODULES)

check-format:
	$(Q)clang-format --dry-run -Werror $(SOURCES)
	@echo 'check-format: $(words $(SOURCES)) files'

format:
	$(Q)clang-format -i $(SOURCES)

# gcc's own analyzer; clang's and cppcheck misread cleanup variables.  So does gcc 12 for leaks and double
# frees, which the tests look for under ASan instead.
ANALYZER_FLAGS := -Wno-analyzer-malloc-leak -Wno-analyzer-double-free
analyze:
	$(Q)$(MAKE) --no-print-directory CC=gcc DEVELOPER=1 CFLAGS='-O1 -g -fanalyzer $(ANALYZER_FLAGS)' B=build/analyze programs

fuzz:
	$(Q)sh tests/fuzz/run.sh $(T)

fuzz-corpus:
	$(Q)sh tests/fuzz/run.sh --merge $(T)

.PHONY: fuzz-programs
fuzz-programs: $(FUZZ_PROGRAMS:%=$(B)/%)

BENCHED := all $(patsubst %,$(B)/%,$(filter tools/%,$(TEST_PROGRAMS)))
bench:
	@$(MAKE) --no-print-directory deps
	@$(MAKE) --no-print-directory $(COMPILERS) $(BENCHED)
	@BUILD=$(B) QUICK=$(QUICK) bash tests/bench/run.sh $(T)

# What a desktop opens links, packages and references with, and shows of us; its own caches of that are made anew if it has any.
APPSDIR  ?= $(PREFIX)/share/applications
MIMEDIR  ?= $(PREFIX)/share/mime
ICONDIR  ?= $(PREFIX)/share/icons/hicolor
METADIR  ?= $(PREFIX)/share/metainfo
DESKTOP_FILES := nxfetch.desktop nxfetch-link.desktop
METAINFO      := org.nxpk.nxfetch.metainfo.xml
MIME_ICONS    := application-x-vmnetx-package.svg application-x-vmnetx-reference+xml.svg
DESKTOP_ALL    = $(DESKTOP_FILES:%=$(APPSDIR)/%) $(MIMEDIR)/packages/nxpk.xml $(METADIR)/$(METAINFO) \
                 $(ICONDIR)/scalable/apps/nxfetch.svg $(MIME_ICONS:%=$(ICONDIR)/scalable/mimetypes/%)
update-desktop = $(if $(DESTDIR),,-update-desktop-database -q $(APPSDIR) 2>/dev/null; \
                 update-mime-database $(MIMEDIR) 2>/dev/null; gtk-update-icon-cache -q -t -f $(ICONDIR) 2>/dev/null; true)

SERVER_CONFIGS := nginx apache lighttpd caddy varnish
# What names places of ours names those where they are: $(call install-text,FILES,FOLDER)
install-text = for f in $(1); do sed 's,/usr/local/share/nxpk,$(DATADIR),g; s,/usr/local/bin/nxserve,$(BINDIR)/nxserve,g' \
    $$f >$(DESTDIR)$(2)/$${f\#\#*/} && chmod 644 $(DESTDIR)$(2)/$${f\#\#*/} || exit; done
install: all
	install -d $(DESTDIR)$(BINDIR) $(DESTDIR)$(MANDIR)/man1 $(DESTDIR)$(UNITDIR) $(SERVER_CONFIGS:%=$(DESTDIR)$(DATADIR)/%)
	install -m 755 $(PROGRAMS:%=$(B)/%) $(DESTDIR)$(BINDIR)
	$(call install-text,$(MANPAGES),$(MANDIR)/man1)
	install -m 644 $(UNITS) $(DESTDIR)$(UNITDIR)
	install -m 644 serve/nxserve.logrotate $(DESTDIR)$(DATADIR)
	$(foreach s,$(SERVER_CONFIGS),$(call install-text,$(wildcard $(s)/*),$(DATADIR)/$(s));)
	install -d $(sort $(dir $(DESKTOP_ALL:%=$(DESTDIR)%)))
	install -m 644 $(DESKTOP_FILES:%=desktop/%) $(DESTDIR)$(APPSDIR)
	install -m 644 desktop/nxpk-mime.xml $(DESTDIR)$(MIMEDIR)/packages/nxpk.xml
	install -m 644 desktop/$(METAINFO) $(DESTDIR)$(METADIR)
	install -m 644 desktop/nxfetch.svg $(DESTDIR)$(ICONDIR)/scalable/apps
	install -m 644 $(MIME_ICONS:%=desktop/%) $(DESTDIR)$(ICONDIR)/scalable/mimetypes
	$(update-desktop)

uninstall:
	rm -f $(PROGRAMS:%=$(DESTDIR)$(BINDIR)/%) $(PROGRAMS:%=$(DESTDIR)$(MANDIR)/man1/%.1)
	rm -f $(UNITS:$(B)/%=$(DESTDIR)$(UNITDIR)/%)
	rm -rf $(DESTDIR)$(DATADIR)
	rm -f $(DESKTOP_ALL:%=$(DESTDIR)%)
	$(update-desktop)

# ---- Debian packages, in build/deb (debian/) ----------------------------------

.PHONY: deb
deb:
	@bash debian/make-deb.sh build/deb

clean:
	rm -rf build/gcc* build/clang* build/cc* build/analyze build/ir

help:
	@echo 'make             build the programs and manual pages into $(B)'
	@echo 'make demo        install what is needed, build, and boot a machine from a web server'
	@echo 'make check       install what is needed, build, and run the tests (T=NAME for some of them)'
	@echo 'make check-all   the same with the tests that need many minutes; check-minutes: those that need few'
	@echo 'make install     into PREFIX (/usr/local), below DESTDIR; make uninstall removes it'
	@echo 'make deb         install what is needed, and build Debian packages into build/deb'
	@echo 'make check-sanitizers  build the unit tests with ASan, UBSan and TSan, and run them (T=NAME)'
	@echo 'make bench       measure against peers, up to 40 minutes (T=NAME for one; QUICK=1: 5 minutes)'
	@echo 'make fuzz        fuzz the parsers for a few seconds each (T=NAME, SECONDS=N); make fuzz-corpus keeps what it found new'
	@echo 'make format      format the sources; check-format, check-headers, check-layers, analyze: what CI checks'
	@echo 'variables:       V=1  DEVELOPER=1 (-Werror)  SANITIZE=address,undefined  CC=clang'
