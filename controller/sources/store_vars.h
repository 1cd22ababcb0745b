/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Nomad's Variables as a store (store.h), for small clusters. The change of any variable wakes
 * every waiting list, so this node has one list, of all namespaces, for all its questions. Values
 * are read only where somebody asks for them, once for each change. A key's holder is a node, and
 * counts for as long as Nomad says that it is ready.
 */
#include "store.h"

struct pk_store *pk_store_vars_new(struct pk_loop *loop, struct pk_http *http,
				   const struct pk_config *config, const char *node);
/* Sets this node's id in Nomad, without which it can hold no key. */
void pk_store_vars_node(struct pk_store *store, const char *id);
