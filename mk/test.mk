# SPDX-License-Identifier: Apache-2.0
# `make check` is quick and needs neither root nor the network: lint, unit, both policy engines.
# `sudo make test` runs every suite (tests/run.py); SUITE=netns one of them.
.PHONY: setup check test lint analyze fuzz-bin bpf-test-bin test-bin
comma := ,
FUZZ_SECONDS ?= 30
FUZZ_BIN := $(patsubst tests/fuzz/%.c,$B/fuzz/%,$(wildcard tests/fuzz/fuzz_*.c))
FUZZ_FLAGS := -std=gnu17 -O1 -g -D_GNU_SOURCE -DPK_VERSION='"0"' -DPK_FUZZ -Iinclude \
          $(LIB_I) $(TOOLS_I) $(CTL_I) -I. -Ibpf -I$B/gen -MMD -MP $(NL_CFLAGS) -fsanitize=fuzzer-no-link$(comma)address$(comma)undefined \
          -fno-sanitize-recover=undefined
FUZZ_OBJ := $(patsubst %.c,$B/fuzz/obj/%.o,$(filter-out %/main.c,$(wildcard $(LIB_DIRS:=/*.c) lib/policy/tools/*.c cni/*.c $(CTL_DIRS:=/*.c) cli/*.c)))

# The two commands of the README do all the set-up: what is missing is installed first.
setup:
	$(Q)scripts/install-deps

$B/fuzz/obj/%.o: %.c | $(SKELS)
	@mkdir -p $(@D)
	$(Q)$(CLANG) $(FUZZ_FLAGS) -c $< -o $@
$B/fuzz/libfuzzed.a: $(FUZZ_OBJ)
	$(Q)rm -f $@ && ar rcs $@ $^
$B/fuzz/fuzz_%: tests/fuzz/fuzz_%.c $B/fuzz/libfuzzed.a
	@$(if $(V),,echo "  FUZZ  $<")
	$(Q)$(CLANG) $(FUZZ_FLAGS) -fsanitize=fuzzer -o $@ $< $B/fuzz/libfuzzed.a $(LIBS_CTL) $(LIBS_YAML)
fuzz-bin: $(FUZZ_BIN)

# Programs that need more than libpicket: BPF unit tests and the engines' property test.
BPF_TEST_OBJ := $(call objs,tests/bpf/*.c)
TEST_SKELS := $B/gen/guard_stall.skel.h
$(BPF_TEST_OBJ): ALL_CFLAGS += -I. -DPK_OBJECTS=$(words $(SKELS))
$(BPF_TEST_OBJ) $(BPF_TEST_OBJ:$O/%.o=$B/clang/%.ok): | $(TEST_SKELS)
# The guard that waits at named moments (bpf/lib/stall.h).
$B/bpf/guard_stall.bpf.o: bpf/guard.bpf.c
	@mkdir -p $(@D)
	$(Q)$(CLANG) $(BPF_CFLAGS) -DPK_STALLS -c $< -o $@ && $(STRIP) -g $@
$B/tests/bpf-test: $(BPF_TEST_OBJ) $O/libpicket.a
	$(LINK) $(LIBS_BASE)
bpf-test-bin: $B/tests/bpf-test
# The same for another architecture: CROSS is its triplet, SYSROOT a Debian root of it.
.PHONY: cross-test-bin
cross-test-bin: export PKG_CONFIG_SYSROOT_DIR := $(SYSROOT)
cross-test-bin: export PKG_CONFIG_LIBDIR := $(SYSROOT)/usr/lib/$(CROSS)/pkgconfig
cross-test-bin:
	$(Q)$(MAKE) --no-print-directory CC="$(CROSS)-gcc --sysroot=$(SYSROOT)" bpf-test-bin
PROPERTY_SRC := $(wildcard tests/policy/*.c)
$B/tests/policy-property: $(PROPERTY_SRC) $O/libpolicytools.a $O/libpicket.a | $(SKELS)
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) $(TOOLS_I) $(NL_CFLAGS) -I. -o $@ $(PROPERTY_SRC) $(filter %.a,$^) $(LIBS_BASE) $(LIBS_YAML)
# The differential test (tests/model): a reference model, the guard compiled for user space, both
# under ASan and UBSan, and the loaded guard.
MODEL_OBJ := $(patsubst %.c,$B/model/%.o,$(wildcard tests/model/*.c tests/model/user/*.c) $(addprefix tests/bpf/,node.c \
	devices.c object.c pkt.c))
MODEL_FLAGS := -std=gnu17 -O1 -g $(WARN) -D_GNU_SOURCE -Iinclude $(LIB_I) -I. -I$B/gen -MMD -MP \
	$(NL_CFLAGS) $(SANITIZE) -DPK_OBJECTS=$(words $(SKELS))
# The helpers' declarations are the test's own, a helper may not need all that it is given, and
# bpf_loop calls by a pointer of another type.
$B/model/tests/model/user/guard.o: MODEL_FLAGS := -Itests/model/user -Ibpf $(MODEL_FLAGS) -Wno-unused-parameter \
	-Wno-missing-prototypes -fno-sanitize=function
$(MODEL_OBJ): $B/model/%.o: %.c | $(SKELS)
	@mkdir -p $(@D)
	@$(if $(V),,echo "  CC    $<")
	$(Q)$(CLANG) $(MODEL_FLAGS) -c $< -o $@
$B/tests/model-test: $(MODEL_OBJ) $O/libpicket.a
	@mkdir -p $(@D)
	$(Q)$(CLANG) $(SANITIZE) -o $@ $^ $(LIBS_BASE)
test-bin: bpf-test-bin $B/tests/model-test $(if $(PROPERTY_SRC),$B/tests/policy-property)

# `sudo make steady TEST="tests/netns/test_told.py -k dns" N=20`: a test as often, half of it on a busy machine.
.PHONY: steady
steady: N ?= 20
steady: setup
	$(SUB) all test-bin
	$(SUB) FAULTS=1 all
	$(Q)PICKET_BUILD=$(abspath $B) PYTHONDONTWRITEBYTECODE=1 scripts/steady $(N) $(TEST); status=$$?; scripts/give-back; exit $$status

# `sudo make scale`: one node of a thousand; SECONDS and SEED say how long and which one.
.PHONY: scale
scale: setup
	$(SUB) all
	$(Q)/usr/bin/python3 tests/scale --build $(abspath $B) $(addprefix --seconds ,$(SECONDS)) $(addprefix --seed ,$(SEED)); \
		status=$$?; scripts/give-back; exit $$status

# `sudo make soak`: nodes of the release before beside this one's, floods of a million frames, Nomad away for ten minutes,
# then ten minutes of random kills, partitions and clocks; SECONDS and SEED say how long and which.
.PHONY: soak
soak: setup
	$(SUB) all
	$(Q)scripts/release-before || [ $$? -eq 77 ]
	$(Q)PICKET_BUILD=$(abspath $B) PICKET_SOAK=$(or $(SECONDS),600) PICKET_AWAY=$(or $(SECONDS),600) PICKET_FLOOD=1000000 PICKET_SEED=$(or $(SEED),1) PYTHONDONTWRITEBYTECODE=1 \
		/usr/bin/python3 -m pytest -q -s tests/netns/test_releases.py tests/netns/test_floods.py \
		"tests/netns/test_nomad_away.py::test_allocs_end_and_start_meanwhile[refuses]" tests/e2e/test_soak.py; status=$$?; scripts/give-back; exit $$status

# `sudo make mutate N=20 SEED=1`: N sources with one mistake each, which the tests must notice
# (tests/mutate). The syntax trees are what it reads them by.
.PHONY: mutate
mutate: SEED ?= 1
$B/ast/bpf/%.json: bpf/%
	@mkdir -p $(@D)
	$(Q)CCACHE_DISABLE=1 $(CLANG) $(BPF_CFLAGS) -MF $(@:.json=.d) -MT $@ -fsyntax-only -Xclang -ast-dump=json $< > $@
$B/ast/%.json.gz: % | $(SKELS)
	@mkdir -p $(@D)
	$(Q)CCACHE_DISABLE=1 $(CLANG) $(READ_FLAGS) -MMD -MF $(@:.json.gz=.d) -MT $@ -fsyntax-only -Xclang -ast-dump=json $< | gzip -1 > $@
# With kill points and faults too: a fault has the programs load for a kernel without the kfunc.
.PHONY: both-ways
both-ways: all
	$(Q)$(MAKE) --no-print-directory FAULTS=1 all
mutate: setup
	$(Q)$(MAKE) --no-print-directory both-ways test-bin
	$(if $(filter controller plugin,$(SIDE)),$(Q)$(MAKE) --no-print-directory SAN=1 unit-bin)
	$(Q)/usr/bin/python3 tests/mutate --build $B $(addprefix --count ,$(N)) $(addprefix --seed ,$(SEED)) \
		$(addprefix --only ,$(ONLY)) $(if $(SIDE),--side $(SIDE)) $(if $(KNOWN),--known) \
		$(if $(RESUME),--resume) $(if $(JOBS),--jobs $(JOBS)); \
		status=$$?; scripts/give-back; exit $$status

# lint-clang: a second compiler reads every C file and makes nothing.
CLANG_READS := $(patsubst %.c,$B/clang/%.ok,$(shell git ls-files 'lib/*.c' 'cni/*.c' 'controller/*.c' \
	'cli/*.c' 'tests/unit/*.c' 'tests/bpf/*.c' 'tests/policy/*.c'))
READ_FLAGS := -std=gnu17 $(CFLAGS) -D_GNU_SOURCE -DPK_VERSION='"0"' -Iinclude $(LIB_I) \
	$(TOOLS_I) $(CTL_I) -Ibpf -I. -Itests -I$B/gen $(NL_CFLAGS) -DPK_OBJECTS=$(words $(SKELS))
$B/clang/%.ok: %.c | $(SKELS) $B/gen/faults.h
	@mkdir -p $(@D)
	$(Q)$(CLANG) $(READ_FLAGS) $(filter-out -Wimplicit-fallthrough,$(WARN)) -MMD -MP -MT $@ -MF $(@:.ok=.d) \
		-fsyntax-only $<
	@touch $@
# The analyzer walks the paths of everything that ships (.clang-tidy).
ANALYZED := $(patsubst %.c,$B/tidy/%.ok,$(filter-out bench/% tests/%,$(CLANG_READS:$B/clang/%.ok=%.c)))
$B/tidy/%.ok: %.c .clang-tidy $B/clang/%.ok
	@mkdir -p $(@D)
	@$(if $(V),,echo "  TIDY  $<")
	$(Q)$(CLANG_TIDY) --quiet $< -- $(READ_FLAGS)
	@touch $@
analyze: $(ANALYZED)

SHELL_SCRIPTS = $(shell git ls-files | xargs grep -lE '^\#!.*[ /](ba)?sh$$')
SPELLED = $(shell git ls-files | grep -vE '^tests/(fuzz/corpus|golden)/|go\.sum$$')
.PHONY: lint-licences lint-includes lint-sizes lint-comments lint-format lint-shell lint-spelling lint-clang
lint: lint-licences lint-includes lint-sizes lint-comments lint-owned lint-format lint-shell lint-spelling
lint-licences:
	$(Q)! git grep -nE 'SPDX-License-Identifier: GPL-2.0-only( ./)?$$' -- ':!LICENSES'
	$(Q)! git grep -nL 'SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause' -- bpf include
lint-includes lint-sizes lint-comments:
	$(Q)scripts/$@
# What is freed at the end of its block is set where it is declared: a return before that would free what lay there.
lint-owned:
	$(Q)! git grep -nE '^\s+(own_[a-z]+|PK_OWN\([a-z_]+\)) [^=]*;' -- '*.c'
lint-format: check-format
lint-shell:
	$(Q)shellcheck $(SHELL_SCRIPTS)
lint-spelling:
	$(Q)codespell --ignore-words=scripts/spelling $(SPELLED)
lint-clang: $(CLANG_READS)

# Each suite's parts, built by every processor where no -j says how many. The set-up runs in a make of its
# own: what it installs decides what the next one finds. Suites that need no root need no set-up either.
ROOTED := bpf model mutate kernel61 netns e2e package life
SUITES := $(or $(SUITE),lint repo unit policy bpf model mutate kernel61 netns e2e package fuzz)
SUB = $(Q)$(MAKE) --no-print-directory $(if $(filter -j%,$(MAKEFLAGS)),,-j$(shell nproc))
RUN = $(Q)/usr/bin/python3 tests/run.py --build $B --fuzz-seconds $(FUZZ_SECONDS)
test: $(if $(filter $(ROOTED),$(SUITES)),setup)
	$(if $(filter repo policy bpf model mutate kernel61 netns e2e package life,$(SUITES)),$(SUB) all test-bin)
	$(if $(filter unit,$(SUITES)),$(SUB) SAN=1 unit-bin)
	$(if $(filter mutate netns e2e,$(SUITES)),$(SUB) FAULTS=1 all)
	$(if $(filter fuzz,$(SUITES)),$(SUB) fuzz-bin)
	$(if $(filter netns,$(SUITES)),$(Q)scripts/release-before || [ $$? -eq 77 ])
	$(RUN) $(SUITE); status=$$?; scripts/give-back; exit $$status

check:
	$(SUB) all test-bin
	$(SUB) SAN=1 unit-bin
	$(RUN) --quick lint repo unit policy
