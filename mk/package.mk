# SPDX-License-Identifier: Apache-2.0
# What installs Picket (packaging/): `make install DESTDIR=`, `make uninstall`, `make deb`, `make tarball`.
.PHONY: man completion sbom install uninstall deb tarball bundled
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

# The tarball's programs need nothing of the machine but its kernel: the libraries that they load come along,
# with the loader, in a folder named by its content, so that an update never mixes two of them. They are linked
# without debug information: the build id is made of what is linked, and paths of this machine would be in it.
BUNDLED := $(addprefix $(LINKED)/,picket-cni picketd picket)
$(BUNDLED): LDFLAGS += -s -Wl,--dynamic-linker=$(LIBRARIES)/$(LOADER) -Wl,--disable-new-dtags,-rpath,$(LIBRARIES)
$(BUNDLED): FORCE | $(LINKED)/
$(LINKED)/:
	@mkdir -p $@
bundled: $(BUNDLED)
tarball: all man completion | $(LINKED)/
	$(Q)name=$$(packaging/bundle $O $B/tarball) && loader=$$(basename $B/tarball/$$name/ld-linux*) && \
	$(MAKE) --no-print-directory bundled LIBRARIES=/opt/picket/lib/$$name LOADER=$$loader && \
	packaging/make-tarball $B $$name
