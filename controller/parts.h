/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* picketd's parts as the API reads them. The daemon alone makes, replaces and ends them. */
#include <time.h>

#include "apply.h"
#include "cluster.h"
#include "conf.h"
#include "consul_set.h"
#include "docs.h"
#include "events.h"
#include "files.h"
#include "listener.h"
#include "loop.h"
#include "model.h"
#include "nomad_watch.h"
#include "records.h"
#include "services.h"
#include "sockets.h"
#include "sync.h"
#include "upkeep.h"
#include "uplink_watch.h"
#include "writer.h"

typedef void pk_release_fn(void *arg, const struct pk_doc_entry *e);

struct pk_parts {
	const struct pk_config *config;
	const char *node; /* this node's name */
	struct timespec started;
	uint64_t started_ms;
	const struct pk_err *config_error; /* the last reload's error; "" */
	struct pk_loop *loop;
	struct pk_docs *docs;
	struct pk_model *model;
	struct pk_sync *sync;
	struct pk_apply *apply;
	struct pk_records *records;
	struct pk_events *events;
	struct pk_upkeep *upkeep;
	struct pk_uplink_watch *uplinks;
	struct pk_sockets *sockets;
	struct pk_scrape *scrape;
	struct pk_writer *disk, *fsync, *lines, *sweeps;
	struct pk_journal *journal;
	/* A reload may replace these. */
	struct pk_files *files;
	struct pk_nomad *nomad;	      /* NULL: off */
	struct pk_consul_set *consul; /* the store's documents; NULL: off */
	struct pk_services *services;
	struct pk_cluster *cluster;   /* NULL: this node is alone */
	struct pk_flowlog *flowlog;   /* NULL: no file */
	struct pk_listener *listener; /* NULL: none on the network */

	int (*reload)(void *arg, struct pk_err *err); /* does what SIGHUP does */
	/*
	 * Believes a source (or one document, "file/db") that is held, by the last look at the
	 * directory; false: nothing is.
	 */
	bool (*release)(void *arg, const char *what, pk_release_fn *fn, void *fn_arg);
	void *arg;
};
