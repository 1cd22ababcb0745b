/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Network namespaces: open with checks, visit and come back. One thread a process. */
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "err.h"

struct pk_netns {
	int fd;	     /* -1 = not open */
	ino_t inode; /* of nsfs: what a record keeps */
};
#define PK_NETNS_NONE { .fd = -1 }

/*
 * path must be a network namespace (nsfs), and not the caller's own. Errors: PK_CODE_NETNS, with a
 * fix.
 */
int pk_netns_open(const char *path, struct pk_netns *ns, struct pk_err *err);
/* Opens the one that the caller is in. */
int pk_netns_self(struct pk_netns *ns, struct pk_err *err);
void pk_netns_close(struct pk_netns *ns);
#define own_netns PK_OWN(pk_netns_close) struct pk_netns

/*
 * Reads the inode of what is at path: 0, -ENOENT where nothing is there or it is no network
 * namespace (Nomad leaves the file).
 */
int pk_netns_inode(const char *path, ino_t *inode);
/* Returns whether the netns of this inode is at path, by one look that opens nothing. */
bool pk_netns_is(const char *path, ino_t inode);

/*
 * Makes an empty network namespace that path names, as `ip netns add` does. -EEXIST: something is
 * there, and stays.
 */
int pk_netns_make(const char *path, struct pk_err *err);
/* Takes the name away; the namespace lives for as long as a process is in it. Gone is success. */
int pk_netns_drop(const char *path, struct pk_err *err);

/*
 * A visit: until pk_netns_leave, sockets, devices and /proc/sys/net are those of ns.
 *	own_visit visit = PK_NETNS_VISIT_NONE;
 *	r = pk_netns_enter(&ns, &visit, err);
 * Leaving aborts the process where it fails: nothing must go on in the wrong namespace.
 */
struct pk_netns_visit {
	int home;
};
#define PK_NETNS_VISIT_NONE { .home = -1 }
int pk_netns_enter(const struct pk_netns *ns, struct pk_netns_visit *visit, struct pk_err *err);
/* Enters ns where `current`, the namespace that the caller is in, is open already. */
int pk_netns_enter_from(const struct pk_netns *ns, const struct pk_netns *current,
			struct pk_netns_visit *visit, struct pk_err *err);
void pk_netns_leave(struct pk_netns_visit *visit);
#define own_visit PK_OWN(pk_netns_leave) struct pk_netns_visit
