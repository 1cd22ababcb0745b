/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The paths of everything below one root (state.md, "A test, a demo, a laptop"). */
#include "err.h"

#define PK_PATH_ROOM 512

#define PK_LOCK_DAEMON	  "picketd.lock" /* below run/: picketd's, for as long as it runs */
#define PK_LOCK_NODE	  "node"	 /* below lock/: the node's own */
#define PK_LOCK_ENDPOINTS "endpoints"	 /* below lock/: every container id's (eplock.h) */

struct pk_paths {
	char root[256];		      /* "" for / */
	char endpoints[PK_PATH_ROOM]; /* root/var/lib/picket/endpoints */
	char leases[PK_PATH_ROOM];
	char policies[PK_PATH_ROOM];   /* accepted documents, <source>/<name> */
	char node_json[PK_PATH_ROOM];  /* picketd's effective settings */
	char run[PK_PATH_ROOM];	       /* root/run/picket */
	char lock[PK_PATH_ROOM];       /* run/lock */
	char vm[PK_PATH_ROOM];	       /* run/vm: driver files */
	char pools[PK_PATH_ROOM];      /* run/pools: marks of addresses (lease_marks.h) */
	char socket[PK_PATH_ROOM];     /* run/picketd.sock */
	char tap_socket[PK_PATH_ROOM]; /* run/tap.sock: host taps are handed over there */
	char bpffs[PK_PATH_ROOM];      /* root/sys/fs/bpf: must be a bpffs */
	char pins[PK_PATH_ROOM];       /* bpffs/picket, 0700 */
	char maps[PK_PATH_ROOM];       /* pins/maps */
	char config[PK_PATH_ROOM];     /* root/etc/picket/picketd.json */
	char policies_d[PK_PATH_ROOM]; /* root/etc/picket/policies.d */
};

/* root: absolute, no "..", at most 255 bytes; "/" and "" are the same. */
int pk_paths_init(struct pk_paths *paths, const char *root, struct pk_err *err);
