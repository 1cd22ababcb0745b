/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Writes this node's own keys in the store: the node's word, a share for each tenant with endpoints
 * here, and its report (report.h). One session holds them all; picketd renews it for as long as it
 * lives. Only keys whose text changed are written, and those that are gone or held by no session of
 * ours. A share that an earlier picketd wrote is left as it is where the store shows that it says
 * the same under the same session.
 */
#include "conf.h"
#include "model.h"
#include "source.h"
#include "store.h"
#include "writer.h"

struct pk_publish;

struct pk_publish_args {
	struct pk_loop *loop;
	struct pk_store *store;		/* outlives it */
	const struct pk_config *config; /* outlives it */
	struct pk_model *model;
	struct pk_sync *sync;
	struct pk_writer *writer;
	const char *node;   /* as the last part of a key */
	const char *prefix; /* ends with "/" */
	bool alone;	    /* there are no other nodes: the report is all that is written */
	/* pk_publish_say will be called: an earlier picketd's report stays until then */
	bool reports;
	pk_loop_fn *told; /* or NULL; called when pk_publish_is_out or _is_contested changed */
	void *arg;
};

struct pk_publish *pk_publish_new(const struct pk_publish_args *args);
void pk_publish_free(struct pk_publish *publish);
/* Says that the model, or the node's own addresses and blocks, may have changed. */
void pk_publish_soon(struct pk_publish *publish);
/* Sets the report, the text of status/nodes/NODE, with "number" 0; copied. */
void pk_publish_say(struct pk_publish *publish, const char *report);
/* Tells how the store has one of our keys ("nodes/NODE" or of a share); NULL: it hasn't. */
void pk_publish_seen(struct pk_publish *publish, const char *key, const struct pk_kv *kv);
const struct pk_source *pk_publish_source(const struct pk_publish *publish);
/* Allows or forbids publishing the node; at first it is allowed. */
void pk_publish_let(struct pk_publish *publish, bool may);
/* Return whether this picketd has written the node's word, and whether another session holds it. */
bool pk_publish_is_out(const struct pk_publish *publish);
bool pk_publish_is_contested(const struct pk_publish *publish);
/* Returns how many keys wait to be written. */
size_t pk_publish_behind(const struct pk_publish *publish);
