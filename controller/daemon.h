/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/* picketd's parts and how they are wired; api*.c read it, daemon.c alone changes it. */
#include <time.h>

#include "conf.h"
#include "consul_watch.h"
#include "docs.h"
#include "events.h"
#include "files.h"
#include "flow.h"
#include "http.h"
#include "httpd.h"
#include "loop.h"
#include "model.h"
#include "nomad_watch.h"
#include "records.h"
#include "sync.h"
#include "upkeep.h"

struct pk_daemon {
	struct pk_config_args args;
	struct pk_config config;
	struct pk_loop *loop;
	struct pk_docs *docs;
	struct pk_model *model;
	struct pk_sync *sync;
	struct pk_records *records;
	struct pk_files *files;
	struct pk_http *http;
	struct pk_nomad *nomad;	  /* NULL: off */
	struct pk_consul *consul; /* NULL: off */
	struct pk_httpd *httpd;
	struct pk_events *events;
	struct pk_flowlog *flowlog; /* NULL: no file */
	struct pk_upkeep *upkeep;
	struct pk_timer *apply, *sync_docs, *trim;
	char node[128]; /* this node's name */
	int lock;

	bool docs_changed, settings_changed;
	bool withdraw;	    /* names of others are to go at the next pass */
	uint64_t change_ns; /* CLOCK_MONOTONIC of the oldest change not applied yet; 0 = none */
	uint64_t last_ns;   /* of the last pass's begin */
	struct timespec started, applied;
	uint64_t started_ms;
	double apply_s;
	uint64_t revision; /* policy changes in force since start */
	/* What keeps the node from "ok"; "" where nothing does. */
	struct pk_err load_error, apply_error, store_error, config_error;
};

/* Everything is made and the first pass done. -errno: it can't run at all. */
int pk_daemon_start(struct pk_daemon *d, const struct pk_config_args *args, struct pk_err *err);
void pk_daemon_stop(struct pk_daemon *d);
/* Now: compile, write, acknowledge. The error stays in apply_error. */
int pk_daemon_apply(struct pk_daemon *d);
/* Soon, together with whatever else changes. */
void pk_daemon_apply_soon(struct pk_daemon *d);
/* Does it run under exactly what its policies compile to now? Not while a change waits its turn. */
bool pk_daemon_in_step(const struct pk_daemon *d, const struct pk_member *m);
/* SIGHUP: the whole configuration anew, or the old one with config_error set. */
int pk_daemon_reload(struct pk_daemon *d, struct pk_err *err);
/* For flow names and api: "host", "remote-node" or NULL. */
const char *pk_daemon_node_address(void *arg, const union pk_addr *addr);
