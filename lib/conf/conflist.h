/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The directory of CNI configurations, read as Nomad reads it (libcni 1.3): *.conflist holds a list
 * of plugins, *.conf and *.json hold one plugin, files count in the order of their names, and of
 * two files with one network's name the first is taken. A single file that Nomad can't read keeps
 * its agent from starting and stops every CNI network of a running one.
 */
#include <stdbool.h>

#include "err.h"
#include "json.h"
#include "own.h"

#define PK_CONFLIST_DIR "opt/cni/config" /* below the root: Nomad's default */

struct pk_conflist {
	struct pk_json_doc *doc;       /* owned */
	const char *name;	       /* the network's name; "" = the file has none */
	const struct pk_json *version; /* the cniVersion that libcni takes; NULL = absent */
	bool single;		       /* the file holds one plugin instead of a list */
};
void pk_conflist_done(struct pk_conflist *list);
#define own_conflist PK_OWN(pk_conflist_done) struct pk_conflist

/*
 * Reads one file. An error says what Nomad would stop at, and its fix. The list is valid only on
 * success.
 */
int pk_conflist_read(const char *path, struct pk_conflist *list, struct pk_err *err);
/* Returns the first plugin of type picket, or NULL. */
const struct pk_json *pk_conflist_plugin(const struct pk_conflist *list);
/* Returns the first plugin of type picket whose "root" is this root ("" and "/" are the same). */
const struct pk_json *pk_conflist_plugin_of(const struct pk_conflist *list, const char *root);

/* Calls each() for every file that Nomad reads, in its order. A missing directory has none. */
void pk_conflist_each(const char *dir, void (*each)(void *arg, const char *path), void *arg);
