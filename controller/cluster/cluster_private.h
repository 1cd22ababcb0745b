/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Shared by cluster.c and all files whose names begin with cluster_. */
#include <sys/queue.h>
#include <uthash.h>

#include "cluster.h"
#include "fabric.h"
#include "probe.h"
#include "keys_watch.h"
#include "overlay.h"
#include "placement.h"
#include "publish.h"

/* A prefix below ours that is watched, and what is known of keys that went. */
struct part {
	char *name; /* "nodes/", "tenants/TENANT/" */
	struct pk_cluster *cluster;
	struct pk_keys_watch *watch;
	bool wanted, answered;
	uint64_t gone_ms; /* when keys went last; 0: none did */
	size_t gone;	  /* how many keys went lately */
	UT_hash_handle hh;
};

struct pk_cluster {
	struct pk_cluster_args args;
	char *node, *prefix, *directory;
	struct pk_publish *publish;
	struct pk_believed *believed;
	struct pk_fabric *fabric;
	struct pk_probe *probe;
	struct pk_overlay_keeper *overlay;   /* NULL: the network routes the blocks */
	struct pk_blocks *blocks;	     /* NULL: this node claims none */
	struct pk_placement *placement;	     /* NULL: there is no Nomad to ask */
	struct part *parts, *nodes, *claims; /* the parts; two of them are "nodes/" and "blocks/" */
	struct pk_source source;
	STAILQ_HEAD(, kept) kept; /* files that the writer has yet to get */
	struct pk_timer *keep;
	bool full;    /* there are more tenants than are asked for */
	size_t asked; /* tenants, as far as they are followed by now */
};

/*
 * Judge anew what was said, and tell the model what changed. The second does it for this node's own
 * blocks alone.
 */
void cluster_settle(struct pk_cluster *c);
void cluster_settle_own(struct pk_cluster *c);
/* Keep a key's text on disk, delete it there, and read all that is kept (cluster_kept.c). */
void cluster_keep(struct pk_cluster *c, const char *key, const struct pk_kv *kv);
void cluster_unkeep(struct pk_cluster *c, const char *key);
/* Hand what is to be kept over to the writer, in turns of the loop; and all of it now. */
void cluster_hand_over(void *arg);
void cluster_hand_over_all(struct pk_cluster *c);
void cluster_recall(struct pk_cluster *c);
/* Takes Consul's answer about the part that arg is (cluster_hear.c). */
void cluster_hear(void *arg, const struct pk_keys_answer *answer);
/* Reads a key of such an answer, before it is taken. */
void cluster_read_ahead(void *arg, const struct pk_kv *kv);
/* Returns the part of that name, asked for from now on (cluster_follow.c). */
struct part *cluster_part(struct pk_cluster *c, const char *name, size_t text_max);
void cluster_part_free(struct pk_cluster *c, struct part *p);
/* Asks for the tenants that this node hosts or that policies in force name, and for no others. */
void cluster_follow_tenants(struct pk_cluster *c);
