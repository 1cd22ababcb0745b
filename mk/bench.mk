# SPDX-License-Identifier: GPL-2.0-only
# `sudo make bench` measures every row against its peer, `sudo make bench ONLY=C3` one.
.PHONY: bench bench-bin
BENCH_BIN := $(patsubst bench/%.c,$B/bench/%,$(wildcard bench/*.c))

$B/bench/%: bench/%.c $O/libpicket.a
	@mkdir -p $(@D)
	@$(if $(V),,echo "  BENCH $<")
	$(Q)$(CC) $(ALL_CFLAGS) $(NL_CFLAGS) -o $@ $< $O/libpicket.a $(LIBS_BASE)
bench-bin: $(BENCH_BIN)

bench: setup all bench-bin test-bin
	$(Q)/usr/bin/python3 bench/bench.py --build $B $(if $(ONLY),--only $(ONLY))
