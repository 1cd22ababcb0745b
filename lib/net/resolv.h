/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The machine's own name servers: resolv.conf(5). */
#include <stdbool.h>
#include <stddef.h>

#include "addr.h"
#include "err.h"
#include "paths.h"

/* Called for each word in its order; either may be NULL. */
struct pk_resolv_fns {
	void (*server)(void *arg,
		       const union pk_addr *addr); /* gets a server, which is no loopback address */
	/* A word of "search" or "domain"; first: of its line, and the last line counts. */
	void (*search)(void *arg, const char *word, bool first);
	void *arg;
};

/* The findings in a resolv.conf. */
struct pk_resolv_seen {
	size_t n;		/* servers that others than this machine reach */
	union pk_addr loopback; /* the first that this machine alone reaches; or all zero */
	bool stub;		/* one of systemd-resolved's own stubs is named */
};

/*
 * The files below the root where servers are looked for: resolv.conf, and the one with the servers
 * that systemd-resolved itself asks.
 */
#define PK_RESOLV_FILES 2
extern const char *const pk_resolv_files[PK_RESOLV_FILES];

/* Pure: takes text apart. What it can't use is left out. */
void pk_resolv_conf_parse(char *text, const struct pk_resolv_fns *fns, struct pk_resolv_seen *seen);
/*
 * Reads ROOT/etc/resolv.conf; one that can't be read says nothing. Where it names
 * systemd-resolved's stub and no server that a guest reaches, the servers that resolved itself asks
 * are read from ROOT/run/systemd/resolve/resolv.conf.
 */
void pk_resolv_conf_read(const struct pk_paths *paths, const struct pk_resolv_fns *fns,
			 struct pk_resolv_seen *seen);
/* Says why guests get no resolver of it, and what to do; false where they get one. */
bool pk_resolv_none(const struct pk_resolv_seen *seen, struct pk_err *note);
/* Notes that the conflist names a server which this machine alone reaches. */
void pk_resolv_unreachable(const union pk_addr *server, struct pk_err *note);
/* 127/8 and ::1: each machine, and each guest, means itself by it. */
bool pk_addr_is_loopback(const union pk_addr *addr);
/* Returns whether addr is one of this machine's: a socket can be bound to no other. */
bool pk_addr_is_local(const union pk_addr *addr);
