/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Writes this node's own keys in the store: its word, a share for each tenant with endpoints here,
 * and its report (report.h). One session holds them all, and is renewed for as long as picketd
 * lives. Only what changed is written; a key that lost its session, or is gone, is written again.
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
	bool alone;	    /* it has no other nodes: the report is all that it says */
	bool reports;	    /* a report is said sooner or later: an earlier one stays until then */
	pk_loop_fn *told;   /* or NULL; pk_publish_is_out or _is_contested says something else */
	void *arg;
};

struct pk_publish *pk_publish_new(const struct pk_publish_args *args);
void pk_publish_free(struct pk_publish *publish);
/* Says that the model, or what the node is, may have changed. */
void pk_publish_soon(struct pk_publish *publish);
/* Says which documents this node enforces: the text of status/nodes/NODE, under number 0. */
void pk_publish_say(struct pk_publish *publish, const char *report);
/*
 * Tells how the store has one of our keys ("nodes/", "tenants/TENANT/" and our name); text is NULL
 * where it doesn't.
 */
void pk_publish_seen(struct pk_publish *publish, const char *key, const char *text, bool held);
const struct pk_source *pk_publish_source(const struct pk_publish *publish);
/* Lets this node say of itself, or not even that it is; at first it may. */
void pk_publish_let(struct pk_publish *publish, bool may);
/* Returns whether this picketd has written the node's word; whether another session holds it. */
bool pk_publish_is_out(const struct pk_publish *publish);
bool pk_publish_is_contested(const struct pk_publish *publish);
/* Returns how many keys wait to be written. */
size_t pk_publish_behind(const struct pk_publish *publish);
