# SPDX-License-Identifier: GPL-2.0-only
# `sudo make test` runs every suite (tests/run.py); SUITE=netns one of them.
# Parts: unit, bpf-test, fuzz-bin, lint.
.PHONY: setup test lint fuzz-bin bpf-test-bin test-bin
comma := ,
FUZZ_SECONDS ?= 30
FUZZ_BIN := $(patsubst tests/fuzz/%.c,$B/fuzz/%,$(wildcard tests/fuzz/fuzz_*.c))
FUZZ_FLAGS := -std=gnu17 -O1 -g -D_GNU_SOURCE -DPK_VERSION='"$(VERSION)"' -DPK_FUZZ -Iinclude -Ilib \
          -Ilib/policy $(TOOLS_I) -I. -Ibpf -I$B/gen -MMD -MP $(NL_CFLAGS) -fsanitize=fuzzer-no-link$(comma)address$(comma)undefined \
          -fno-sanitize-recover=undefined
FUZZ_OBJ := $(patsubst %.c,$B/fuzz/obj/%.o,$(filter-out %/main.c,$(wildcard lib/*.c lib/policy/*.c lib/policy/tools/*.c cni/*.c controller/*.c cli/*.c)))

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
	$(Q)$(CLANG) $(FUZZ_FLAGS) -fsanitize=fuzzer -o $@ $< $B/fuzz/libfuzzed.a $(LIBS_CTL)
fuzz-bin: $(FUZZ_BIN)

# Programs that need more than libpicket: BPF unit tests and the engines' property test.
BPF_TEST_OBJ := $(call objs,tests/bpf/*.c)
$(BPF_TEST_OBJ): ALL_CFLAGS += -I. -DPK_OBJECTS=$(words $(SKELS))
$B/tests/bpf-test: $(BPF_TEST_OBJ) $O/libpicket.a
	$(LINK) $(LIBS_BASE)
bpf-test-bin: $B/tests/bpf-test
PROPERTY_SRC := $(wildcard tests/policy/*.c)
$B/tests/policy-property: $(PROPERTY_SRC) $O/libpolicytools.a $O/libpicket.a | $(SKELS)
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) $(TOOLS_I) $(NL_CFLAGS) -I. -o $@ $(PROPERTY_SRC) $(filter %.a,$^) $(LIBS_BASE)
test-bin: bpf-test-bin $(if $(PROPERTY_SRC),$B/tests/policy-property)

# `sudo make mutate N=20 SEED=1`: N sources with one mistake each, which the tests must notice
# (tests/mutate). The syntax trees are what it reads them by.
.PHONY: mutate
mutate: N ?= 20
mutate: SEED ?= 1
$B/ast/bpf/%.json: bpf/%
	@mkdir -p $(@D)
	$(Q)$(CLANG) $(BPF_CFLAGS) -MF $(@:.json=.d) -MT $@ -fsyntax-only -Xclang -ast-dump=json $< > $@
mutate: setup
	$(Q)$(MAKE) --no-print-directory all test-bin
	$(Q)/usr/bin/python3 tests/mutate --build $B --count $(N) $(addprefix --seed ,$(SEED)) \
		$(if $(ONLY),--only $(ONLY)) $(if $(SIDE),--side $(SIDE)); \
		status=$$?; scripts/give-back; exit $$status

lint:
	$(Q)scripts/lint-includes
	$(Q)scripts/lint-sizes

# The set-up runs in a make of its own: what it installs decides what the next one finds.
test: setup
	$(Q)$(MAKE) --no-print-directory all test-bin
	$(Q)$(MAKE) --no-print-directory SAN=1 unit-bin
	$(Q)$(MAKE) --no-print-directory FAULTS=1 all
	$(Q)$(MAKE) --no-print-directory fuzz-bin
	$(Q)/usr/bin/python3 tests/run.py --build $B --fuzz-seconds $(FUZZ_SECONDS) $(SUITE); \
		status=$$?; scripts/give-back; exit $$status
