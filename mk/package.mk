# SPDX-License-Identifier: Apache-2.0
# What installs Picket (packaging/): `make install DESTDIR=`, `make uninstall`, `make deb`.
.PHONY: man completion sbom install uninstall deb
man: all
	$(Q)PICKET_BUILD=$B scripts/gen-man $B/man
	$(Q)for page in $B/man/*.scd; do scdoc < $$page > $${page%.scd} || exit 1; done
completion: all
	@mkdir -p $B/completion
	$(Q)for shell in bash zsh; do $O/picket completion $$shell > $B/completion/$$shell || exit 1; done
sbom: all
	$(Q)scripts/gen-sbom $O $B/picket.spdx.json
install: all man completion sbom
	$(Q)packaging/install $O $(DESTDIR)$(PREFIX)
uninstall:
	$(Q)packaging/install $O $(DESTDIR)$(PREFIX) remove
deb:
	$(Q)packaging/make-deb $B/deb
