/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The machine's own name servers: resolv.conf(5). */
#include <stdbool.h>

#include "addr.h"
#include "paths.h"

/* Called for each word in its order; either may be NULL. */
struct pk_resolv_fns {
	void (*server)(void *arg, const union pk_addr *addr); /* no loopback address */
	/* A word of "search" or "domain"; first: of its line, and the last line counts. */
	void (*search)(void *arg, const char *word, bool first);
	void *arg;
};

/* Pure: takes text apart. What it can't use is left out. */
void pk_resolv_conf_parse(char *text, const struct pk_resolv_fns *fns);
/* ROOT/etc/resolv.conf; one that can't be read says nothing. */
void pk_resolv_conf_read(const struct pk_paths *paths, const struct pk_resolv_fns *fns);
/* 127/8 and ::1: each machine, and each guest, means itself by it. */
bool pk_addr_is_loopback(const union pk_addr *addr);
/* True where addr is one of this machine's: a socket can be bound to no other. */
bool pk_addr_is_local(const union pk_addr *addr);
