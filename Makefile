# SPDX-License-Identifier: Apache-2.0
# Picket: `sudo make demo` shows it, `sudo make test` proves it. B=DIR builds elsewhere, V=1 shows
# the commands, SAN=1 builds with ASan and UBSan (in its own directory), FAULTS=1 with kill points.
B       ?= build
CC      ?= gcc
CLANG   ?= clang-19
CLANG_TIDY ?= clang-tidy-19
STRIP   ?= llvm-strip-19
BPFTOOL ?= $(firstword $(wildcard /usr/sbin/bpftool) bpftool)
PREFIX  ?= /usr
Q       := $(if $(V),,@)
VERSION := $(shell scripts/version)

ifeq ($(origin CC),default)
CC := gcc
endif
O := $B$(if $(SAN),/san)$(if $(FAULTS),/faults)

WARN   := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wwrite-strings -Wvla \
          -Wimplicit-fallthrough -Werror
SANITIZE := -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
CFLAGS ?= -O2 -g
# What every binary that ships has; the sanitizers bring their own checks.
HARDENING := -fstack-protector-strong -fstack-clash-protection -fPIE \
          $(if $(filter x86_64%,$(shell $(CC) -dumpmachine 2>/dev/null)),-fcf-protection) $(if $(SAN),,-D_FORTIFY_SOURCE=2)
LINK_HARDENING := -pie -Wl,-z,relro,-z,now,-z,noexecstack
# The library's folders are one archive, whose headers are found by their names.
LIB_DIRS := $(patsubst %/,%,$(wildcard lib/*/))
LIB_I := $(LIB_DIRS:%=-I%)
ALL_CFLAGS := -std=gnu17 $(HARDENING) $(CFLAGS) $(CPPFLAGS) $(WARN) -D_GNU_SOURCE \
          -Iinclude $(LIB_I) -I$B/gen -MMD -MP \
          $(if $(SAN),$(SANITIZE)) \
          $(if $(FAULTS),-DPK_FAULTS)
NL_CFLAGS := $(shell pkg-config --cflags libnl-3.0 libnl-route-3.0 2>/dev/null)
NL_LIBS   := $(shell pkg-config --libs libnl-3.0 libnl-route-3.0 2>/dev/null)
LIBS_PURE := -lcjson
LIBS_BASE := $(LIBS_PURE) -lbpf -lelf -lz $(NL_LIBS)
# Plugin and CLI are started for every verb: six libraries less to load is a quarter of a millisecond.
LIBS_SHORT := -Wl,-Bstatic -lbpf -lelf -lz -lnl-route-3 -lnl-3 -Wl,-Bdynamic $(LIBS_PURE) -Wl,--as-needed
LIBS_YAML := -lyaml
LIBS_CTL  := $(LIBS_BASE) -levent_core -levent_extra -lcurl
# One commit gives the same bytes in any directory: no path of this machine is in them.
NO_PATHS := -ffile-prefix-map=$(CURDIR)=.
BPF_CFLAGS := $(NO_PATHS) -O2 -g -target bpf -mcpu=v3 -Wall -Wextra -Wno-unused-parameter -Werror -Iinclude -Ibpf \
          -I$(SYSROOT)/usr/include/$(shell $(CC) -print-multiarch 2>/dev/null) -MMD -MP

objs = $(patsubst %.c,$O/%.o,$(wildcard $(1)))
LIB_OBJ    := $(call objs,$(LIB_DIRS:=/*.c))
CNI_OBJ    := $(call objs,cni/*.c)
CTL_DIRS   := controller $(patsubst %/,%,$(wildcard controller/*/))
CTL_OBJ    := $(call objs,$(CTL_DIRS:=/*.c))
CLI_OBJ    := $(call objs,cli/*.c)
TOOLS_OBJ  := $(call objs,lib/policy/tools/*.c)
BPF_OBJ    := $(patsubst bpf/%.bpf.c,$B/bpf/%.bpf.o,$(wildcard bpf/*.bpf.c))
SKELS      := $(patsubst bpf/%.bpf.c,$B/gen/%.skel.h,$(wildcard bpf/*.bpf.c))
UNIT_BIN   := $(patsubst tests/unit/%.c,$O/unit/%,$(wildcard tests/unit/test_*.c))

.PHONY: all bpf lib unit-bin clean format check-format FORCE
.SECONDARY:
.DELETE_ON_ERROR:
all: $O/picket-cni $O/picketd $O/picket

bpf: $(BPF_OBJ) $(SKELS)
lib: $O/libpicket.a

$O/libpicket.a: $(LIB_OBJ)
$O/libpolicytools.a: $(TOOLS_OBJ)
$O/libcni.a: $(filter-out %/main.o,$(CNI_OBJ))
$O/libcontroller.a: $(filter-out %/main.o,$(CTL_OBJ))
$O/libcli.a: $(filter-out %/main.o,$(CLI_OBJ))
$O/lib%.a:
	@mkdir -p $(@D)
	$(Q)rm -f $@ && ar rcs $@ $^

# The policy tools are linked by the CLI and the tests alone: nobody else finds their headers.
TOOLS_I := -Ilib/policy/tools
$(TOOLS_OBJ) $(CLI_OBJ): ALL_CFLAGS += $(TOOLS_I)

# The controller's folders are one program, whose headers are found by their names.
CTL_I := $(CTL_DIRS:%=-I%)
$(CTL_OBJ): ALL_CFLAGS += $(CTL_I)

# What says the version, and no more, is compiled again when it changes.
VERSIONED := $(addprefix $O/,$(addsuffix .o,cli/check_plugin cli/cmd_version cli/curl_late cni/main controller/api/api_status \
          controller/api/httpd_exchange controller/sources/http controller/main))
$(VERSIONED): ALL_CFLAGS += -DPK_VERSION='"$(VERSION)"'
$(VERSIONED): $B/gen/version
$B/gen/version: FORCE
	@mkdir -p $(@D)
	@echo $(VERSION) | cmp -s - $@ || echo $(VERSION) > $@
FORCE:

# The skeletons are there before any C file is compiled: some of them include one.
$O/%.o: %.c | $(SKELS)
	@mkdir -p $(@D)
	@$(if $(V),,echo "  CC    $<")
	$(Q)$(CC) $(ALL_CFLAGS) $(NL_CFLAGS) -c $< -o $@

# clang orders BTF's forward declarations by where they lie in its memory: at fixed addresses two builds are
# the same bytes. Where that isn't allowed (a container's seccomp) they are so nearly always.
FIXED := $(shell setarch -R true 2>/dev/null && echo setarch -R)
$B/bpf/%.bpf.o: bpf/%.bpf.c
	@mkdir -p $(@D)
	@$(if $(V),,echo "  BPF   $<")
	$(Q)$(FIXED) $(CLANG) $(BPF_CFLAGS) -c $< -o $@ && $(STRIP) -g $@

$B/gen/%.skel.h: $B/bpf/%.bpf.o
	@mkdir -p $(@D)
	$(Q)$(BPFTOOL) gen skeleton $< name pk_$* > $@

# What is linked once more, for the tarball (mk/package.mk).
LINKED := $B/tarball/linked
LINK = $(Q)mkdir -p $(@D) && $(CC) $(ALL_CFLAGS) $(LINK_HARDENING) $(LDFLAGS) -o $@ $(filter %.o %.a,$^)
$O/picket-cni $(LINKED)/picket-cni: $(filter %/main.o,$(CNI_OBJ)) $O/libcni.a $O/libpicket.a
	$(LINK) $(LIBS_SHORT)
$O/picketd $(LINKED)/picketd: $(filter %/main.o,$(CTL_OBJ)) $O/libcontroller.a $O/libpicket.a
	$(LINK) $(LIBS_CTL)
$O/picket $(LINKED)/picket: $(filter %/main.o,$(CLI_OBJ)) $O/libcli.a $O/libpolicytools.a $O/libpicket.a
	$(LINK) $(LIBS_SHORT) $(LIBS_YAML)

# Each tests/unit/test_X.c is one program; it may use the parts of every binary but their mains.
UNIT_LIBS := $O/libcni.a $O/libcontroller.a $O/libcli.a $O/libpolicytools.a $O/libpicket.a
$O/unit/test_%: tests/unit/test_%.c $(UNIT_LIBS) | $(SKELS)
	@mkdir -p $(@D)
	@$(if $(V),,echo "  UNIT  $<")
	$(Q)$(CC) $(ALL_CFLAGS) $(TOOLS_I) $(CTL_I) $(NL_CFLAGS) -I. -Itests -o $@ $< $(filter %.a,$^) -lcmocka $(LIBS_CTL) $(LIBS_YAML)
unit-bin: $(UNIT_BIN)

.PHONY: docs
docs: all
	$(Q)PICKET_BUILD=$B scripts/gen-docs

FORMATTED = $(shell git ls-files '*.c' '*.h')
format:
	$(Q)clang-format-19 -i $(FORMATTED)
check-format:
	$(Q)clang-format-19 --dry-run -Werror $(FORMATTED)

clean:
	rm -rf $B

include $(wildcard mk/*.mk)
-include $(shell find $O $B/bpf $B/ast $B/clang -name '*.d' -type f 2>/dev/null)
