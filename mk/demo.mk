# SPDX-License-Identifier: Apache-2.0
# `sudo make demo` needs the machine alone; `sudo make demo-nomad` and `demo-cluster` a Nomad and a Consul, which it
# builds where there are none. The set-up runs in a make of its own: what it installs decides what
# the next one finds. What root made in the checkout goes back to the caller of sudo.
.PHONY: demo demo-nomad demo-cluster
demo: DEMO := demo/local
demo-nomad: DEMO := demo/nomad
demo-cluster: DEMO := demo/cluster
demo demo-nomad demo-cluster: setup
	$(Q)status=0; $(MAKE) --no-print-directory -j2 all && \
		PICKET_BUILD=$(abspath $B) PYTHONDONTWRITEBYTECODE=1 /usr/bin/python3 $(DEMO) || status=$$?; \
		scripts/give-back; exit $$status
