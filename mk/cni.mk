# SPDX-License-Identifier: Apache-2.0
# X("name") for every kill point that a FAULTS=1 plugin passes (cni/faults.c, --list-faults).
FAULT_SRC := $(wildcard cni/*.c $(LIB_DIRS:=/*.c))
$B/gen/faults.h: $(FAULT_SRC)
	@mkdir -p $(@D)
	$(Q)sed -n 's/.*pk_fault(\("[a-z0-9-]*"\)).*/X(\1)/p' $(FAULT_SRC) | sort -u > $@
$O/cni/faults.o: $B/gen/faults.h
