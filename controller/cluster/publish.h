/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * This node's own keys in Consul: its word, and a share for each tenant that has endpoints here, all
 * held by one session, which is renewed for as long as picketd lives. Only what changed is written;
 * what lost its session, or is gone, is written again.
 */
#include "conf.h"
#include "http.h"
#include "model.h"
#include "source.h"
#include "writer.h"

struct pk_publish;

struct pk_publish_args {
	struct pk_loop *loop;
	struct pk_http *http;
	const struct pk_config *config; /* outlives it */
	struct pk_model *model;
	struct pk_sync *sync;
	struct pk_writer *writer;
	const char *node;   /* as the last part of a key */
	const char *prefix; /* ends with "/" */
};

struct pk_publish *pk_publish_new(const struct pk_publish_args *args);
void pk_publish_free(struct pk_publish *publish);
/* The model, or what the node is, may be other than what was written. */
void pk_publish_soon(struct pk_publish *publish);
/* How Consul has one of our keys ("nodes/", "tenants/TENANT/" and our name): text NULL: not at all. */
void pk_publish_seen(struct pk_publish *publish, const char *key, const char *text, bool held);
const struct pk_source *pk_publish_source(const struct pk_publish *publish);
/* Keys that wait to be written. */
size_t pk_publish_behind(const struct pk_publish *publish);
