# Tests: test-X.c tests module X with libcheck; *.sh test programs.  Quick ones first.
tests_SRCS := $(wildcard tests/support/*.c)
tests_PKGS := check libvncclient
UNIT_SRCS := $(wildcard tests/test-*.c)
UNIT_TESTS := $(sort $(UNIT_SRCS:tests/%.c=%))
TOOL_SRCS := $(wildcard tests/tools/*.c)
TEST_PROGRAMS := $(UNIT_TESTS) $(TOOL_SRCS:tests/tools/%.c=tools/%)
$(foreach t,$(UNIT_TESTS),$(eval $(t)_MAIN := tests/$(t).c)$(eval $(t)_USES := tests fetch serve pack formats common))
$(foreach t,$(TOOL_SRCS:tests/tools/%.c=tools/%),$(eval $(t)_MAIN := tests/$(t).c)$(eval $(t)_USES := tests fetch serve pack formats common))
# What libFuzzer drives: built only by tests/fuzz/run.sh, with clang.
FUZZ_PROGRAMS := $(patsubst tests/fuzz/%.c,fuzz/%,$(wildcard tests/fuzz/fuzz-*.c))
$(foreach t,$(FUZZ_PROGRAMS),$(eval $(t)_MAIN := tests/$(t).c)$(eval $(t)_USES := fetch serve formats common))
# Shell tests in the order of their numbers: 1x programs, 5x and 6x real guests.  Those in tests/slow/ only by check-all.
CHECK_TESTS := $(UNIT_TESTS) $(sort $(wildcard tests/[0-9]*.sh))
SLOW_TESTS := $(sort $(wildcard tests/slow/*.sh))
# Of those, the ones that need minutes, not hours: CI runs them too.
MINUTES_TESTS := tests/slow/19-nxserve-unit.sh tests/slow/47-sitecaches.sh

# What tests put before libc with LD_PRELOAD: its own, whatever the programs are built with.
TEST_PRELOADS := $(patsubst tests/preload/%.c,$(B)/tools/%.so,$(wildcard tests/preload/*.c))
$(B)/tools/%.so: tests/preload/%.c $(wildcard tests/preload/*.h) $(B)/flags
	@mkdir -p $(@D)
	$(call say,LINK,$@)
	$(Q)$(CC) $(NX_CPPFLAGS) -U_FILE_OFFSET_BITS $(filter-out -fPIE -fsanitize=%,$(NX_CFLAGS)) $(CFLAGS) -fPIC -shared -o $@ $< -ldl

# A program as intermediate code of LLVM's, whole, without what it never calls: in it stands what it can say
# (tests/messages/).  Line numbers only, for a message without its place would be hard to find.
IR_FLAGS := $(filter-out -fstack-protector-strong -W%,$(NX_CFLAGS)) -O1 -Xclang -disable-llvm-passes -gline-tables-only
$(B)/%.bc: %.c $(B)/flags
	@mkdir -p $(@D)
	$(call say,IR,$<)
	$(Q)clang $(NX_CPPFLAGS) $(CPPFLAGS) $(PKG_CFLAGS) $(IR_FLAGS) -MMD -MP -emit-llvm -c -o $@ $<
define ir_rule
$(B)/$(1).ll: $($(1)_MAIN:%.c=$(B)/%.bc) $(foreach m,$($(1)_USES),$($(m)_SRCS:%.c=$(B)/%.bc))
	$$(call say,IR,$$@)
	$$(Q)llvm-link $$^ | opt -passes='internalize,globaldce,function(mem2reg,simplifycfg)' -internalize-public-api-list=main -S -o $$@
endef
$(foreach p,$(PROGRAMS),$(eval $(call ir_rule,$(p))))
$(B)/%.messages: $(B)/%.ll tests/messages/formats.awk
	$(Q)LC_ALL=C awk -f tests/messages/formats.awk $< | LC_ALL=C sort -t: -k1,1 -k2,2n > $@
