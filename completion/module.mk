# Completions of the four programs for bash, zsh and fish, made of each one's NAME.help.
COMPLETIONS := $(foreach p,$(PROGRAMS),$(B)/completion/$(p).bash $(B)/completion/_$(p) $(B)/completion/$(p).fish)
.PHONY: completions install-completions uninstall-completions
all: completions
completions: $(COMPLETIONS)

# PROGRAM, FILE, SHELL
define completion_rule
$(B)/completion/$(2): $($(1)_HELP) completion/help.awk completion/$(3).awk
	@mkdir -p $$(@D)
	$$(call say,AWK,$$@)
	$$(Q)awk -f completion/help.awk -f completion/$(3).awk $($(1)_HELP) > $$@
endef
$(foreach p,$(PROGRAMS),$(eval $(call completion_rule,$(p),$(p).bash,bash)))
$(foreach p,$(PROGRAMS),$(eval $(call completion_rule,$(p),_$(p),zsh)))
$(foreach p,$(PROGRAMS),$(eval $(call completion_rule,$(p),$(p).fish,fish)))

# Where each shell looks; Debian's zsh has a place of its own for what packages bring.
BASHCOMPDIR ?= $(PREFIX)/share/bash-completion/completions
ZSHCOMPDIR  ?= $(PREFIX)/share/zsh/$(if $(filter /usr,$(PREFIX)),vendor-completions,site-functions)
FISHCOMPDIR ?= $(PREFIX)/share/fish/vendor_completions.d
install: install-completions
install-completions: completions
	install -d $(DESTDIR)$(BASHCOMPDIR) $(DESTDIR)$(ZSHCOMPDIR) $(DESTDIR)$(FISHCOMPDIR)
	$(foreach p,$(PROGRAMS),install -m 644 $(B)/completion/$(p).bash $(DESTDIR)$(BASHCOMPDIR)/$(p);)
	install -m 644 $(PROGRAMS:%=$(B)/completion/_%) $(DESTDIR)$(ZSHCOMPDIR)
	install -m 644 $(PROGRAMS:%=$(B)/completion/%.fish) $(DESTDIR)$(FISHCOMPDIR)
uninstall: uninstall-completions
uninstall-completions:
	rm -f $(PROGRAMS:%=$(DESTDIR)$(BASHCOMPDIR)/%) $(PROGRAMS:%=$(DESTDIR)$(ZSHCOMPDIR)/_%) $(PROGRAMS:%=$(DESTDIR)$(FISHCOMPDIR)/%.fish)
