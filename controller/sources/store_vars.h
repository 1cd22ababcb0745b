/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Nomad's Variables as a store (store.h), for few nodes. Any variable's change wakes every list
 * that waits, so one list of all namespaces waits for all questions of this node, and only values
 * that somebody asks for are read, each once a change. Who holds a key lives for as long as Nomad
 * says that his node is ready.
 */
#include "store.h"

struct pk_store *pk_store_vars_new(struct pk_loop *loop, struct pk_http *http,
				   const struct pk_config *config, const char *node);
/* Tells the id that this node has in Nomad; until then it can hold no key. */
void pk_store_vars_node(struct pk_store *store, const char *id);
