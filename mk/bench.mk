# SPDX-License-Identifier: Apache-2.0
# `sudo make bench` measures every row against its peer, `sudo make bench ONLY=C3` one.
.PHONY: bench bench-bin
BENCH_BIN := $(patsubst bench/%.c,$B/bench/%,$(filter-out %.bpf.c,$(wildcard bench/*.c)))

$B/bench/%: bench/%.c bench/tap.h bench/prefixes.h $O/libpicket.a
	@mkdir -p $(@D)
	@$(if $(V),,echo "  BENCH $<")
	$(Q)$(CC) $(ALL_CFLAGS) $(NL_CFLAGS) -o $@ $< $O/libpicket.a $(LIBS_BASE)
# The verdict bench is the guard's own programs in an object of its own, on the BPF tests' node.
$B/bench/%.bpf.o: bench/%.bpf.c
	@mkdir -p $(@D)
	$(Q)$(CLANG) $(BPF_CFLAGS) -c $< -o $@ && $(STRIP) -g $@
$B/gen/verdict.skel.h: $B/bench/verdict.bpf.o
	$(Q)$(BPFTOOL) gen skeleton $< name pk_cost > $@
$B/bench/verdict $B/bench/both: $B/gen/verdict.skel.h
$B/bench/verdict $B/bench/both $B/bench/life: $B/gen/guard_stall.skel.h
$B/bench/verdict $B/bench/both $B/bench/life: $B/bench/%: bench/%.c $(filter-out tests/bpf/main.c tests/bpf/cases_%,$(wildcard tests/bpf/*.c)) $O/libpicket.a
	@mkdir -p $(@D)
	@$(if $(V),,echo "  BENCH $<")
	$(Q)$(CC) $(ALL_CFLAGS) $(NL_CFLAGS) -I. -o $@ $(filter %.c %.a,$^) $(LIBS_BASE)
# What is measured builds with the tests, so that no change leaves it behind.
test-bin: bench-bin
bench-bin: $(BENCH_BIN) $B/bench/drop.bpf.o $B/bench/peer.bpf.o

bench: setup all bench-bin test-bin
	$(Q)/usr/bin/python3 bench/bench.py --build $B $(if $(ONLY),--only $(ONLY))
