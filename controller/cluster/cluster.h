/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Makes this node one of several: publishes the node and its endpoints (publish.h), follows what
 * the others publish (keys_watch.h: all nodes' words, and the shares of the tenants that live here
 * or that policies name), and decides what it believes (believed.h). What is believed is kept below
 * /var/lib/picket/cluster over a restart.
 */
#include "believed.h"
#include "blocks.h"
#include "conf.h"
#include "http.h"
#include "model.h"
#include "probe.h"
#include "removal.h"
#include "reports.h"
#include "source.h"
#include "store.h"
#include "writer.h"

struct pk_cluster;

struct pk_cluster_args {
	struct pk_loop *loop;
	struct pk_http *http;
	struct pk_store *store;		/* outlives it */
	const struct pk_config *config; /* outlives it */
	struct pk_model *model;
	struct pk_sync *sync;
	struct pk_writer *writer;
	const char *node;
	bool reports;	       /* true: pk_cluster_say will be called */
	pk_loop_fn *endpoints; /* other nodes' endpoints changed */
	pk_loop_fn *blocks;    /* other nodes' blocks changed */
	void (*own)(void *arg,
		    const struct pk_blocks *blocks); /* this node's claimed blocks changed */
	void *arg;
};

struct pk_cluster *pk_cluster_new(const struct pk_cluster_args *args);
void pk_cluster_free(struct pk_cluster *cluster);
/*
 * Ends being one of several, at a start without a cluster: no other node's endpoint stays in the
 * model, nor a route to any.
 */
void pk_cluster_withdraw(struct pk_model *model);
/* Says that a pass was made: the model's endpoints, tenants and policies may have changed. */
void pk_cluster_follow(struct pk_cluster *cluster);
/* Says that the node's uplinks, or its tables, may have changed. */
void pk_cluster_uplinks(struct pk_cluster *cluster);
/* Publishes which documents this node enforces (report.h). */
void pk_cluster_say(struct pk_cluster *cluster, const char *report);
/*
 * Drops what is held although Consul lacks it, as an operator asked for. Returns false where
 * nothing was held.
 */
bool pk_cluster_release(struct pk_cluster *cluster);

/* Say why the store doesn't answer now; that it answers again, with anew: by another token. */
void pk_cluster_unserved(struct pk_cluster *cluster, const char *why);
void pk_cluster_served(struct pk_cluster *cluster, bool anew);

const struct pk_believed *pk_cluster_believed(const struct pk_cluster *cluster);
/* Returns what is known of whether other nodes answer, and how fast. */
const struct pk_probe *pk_cluster_probe(const struct pk_cluster *cluster);
/* Returns why the routes to other nodes aren't as they should be; "". */
const struct pk_err *pk_cluster_fabric_error(const struct pk_cluster *cluster);
/*
 * Takes a node that is gone for good out of the store, for all nodes; with force also one that
 * seems to live. Returns NULL where that is refused; err says why.
 */
struct pk_cluster_gone {
	const char *name;
	bool force;
};
struct pk_removal *pk_cluster_remove(const struct pk_cluster *cluster,
				     const struct pk_cluster_gone *gone, pk_removal_fn *fn,
				     void *arg, struct pk_err *err);
/* Asks which documents the nodes enforce. Returns NULL where the store doesn't answer. */
struct pk_reports *pk_cluster_reports(const struct pk_cluster *cluster, pk_reports_fn *fn,
				      void *arg);
/* Returns this node's name as the last part of a key. */
const char *pk_cluster_node(const struct pk_cluster *cluster);
/* Returns the blocks that this node claims; NULL: its pools are static. */
const struct pk_blocks *pk_cluster_blocks(const struct pk_cluster *cluster);
/* Returns the source by which it is known which nodes live; NULL: by their keys. */
const struct pk_source *pk_cluster_who_lives(const struct pk_cluster *cluster);
/*
 * Returns the worst state of its questions and of what it writes, and the tenants that are asked
 * for.
 */
const struct pk_source *pk_cluster_source(const struct pk_cluster *cluster);
size_t pk_cluster_tenants(const struct pk_cluster *cluster);
/* The most tenants that are asked for: Consul's agent takes 200 connections of one client. */
#define PK_CLUSTER_TENANTS 64
#define PK_CLUSTER_FULL                                                                            \
	"more than %d tenants live here or are named by policies: endpoints of the others on "     \
	"other nodes stay unknown, which is denied"
bool pk_cluster_is_full(const struct pk_cluster *cluster);
