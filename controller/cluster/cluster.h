/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * This node among others: what it says of itself and its endpoints (publish.h), whom it hears of
 * others (keys_watch.h: all nodes' words, and the shares of the tenants that it hosts or that its
 * policies name), and what of that it believes (believed.h), kept below /var/lib/picket/cluster so
 * that a restart knows it.
 */
#include "believed.h"
#include "conf.h"
#include "http.h"
#include "model.h"
#include "source.h"
#include "writer.h"

struct pk_cluster;

struct pk_cluster_args {
	struct pk_loop *loop;
	struct pk_http *http;
	const struct pk_config *config; /* outlives it */
	struct pk_model *model;
	struct pk_sync *sync;
	struct pk_writer *writer;
	const char *node;
	pk_loop_fn *endpoints; /* others' are others by now */
	pk_loop_fn *blocks;    /* so are their blocks */
	void *arg;
};

struct pk_cluster *pk_cluster_new(const struct pk_cluster_args *args);
void pk_cluster_free(struct pk_cluster *cluster);
/* There are no others any more: nothing of them stays in the model, nor a route to them. */
void pk_cluster_withdraw(struct pk_model *model);
/* The model was passed on: its endpoints, tenants and policies may be others. */
void pk_cluster_follow(struct pk_cluster *cluster);
/* The operator's word: what Consul lacks is gone. False: nothing was held. */
bool pk_cluster_release(struct pk_cluster *cluster);

const struct pk_believed *pk_cluster_believed(const struct pk_cluster *cluster);
/* Why the routes to other nodes aren't as they should be; "" */
const struct pk_err *pk_cluster_fabric_error(const struct pk_cluster *cluster);
/* The worst of its questions and of what it writes; tenants that are asked for. */
const struct pk_source *pk_cluster_source(const struct pk_cluster *cluster);
size_t pk_cluster_tenants(const struct pk_cluster *cluster);
