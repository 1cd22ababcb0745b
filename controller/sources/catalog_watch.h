/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Watches what a catalogue says of one service by a blocking query, which any server may answer,
 * and tells each of its whole answers.
 */
#include "catalog_reader.h"
#include "conf.h"
#include "http.h"
#include "loop.h"
#include "source.h"

struct pk_catalog_watch;

struct pk_catalog_answer {
	const struct pk_instances *instances;
	bool first; /* since the watch was made */
	/* the catalogue seems restored from a backup: this is older than the answer before */
	bool behind;
};
typedef void pk_catalog_fn(void *arg, const struct pk_catalog_answer *answer);

struct pk_catalog_watch_args {
	struct pk_loop *loop;
	struct pk_http *http;
	const struct pk_service *service; /* Consul or Nomad; outlives it */
	bool nomad;
	const char *name, *tenant_name; /* the service's name, and Nomad's namespace; copied */
	pk_catalog_fn *fn;
	void *arg;
};

struct pk_catalog_watch *pk_catalog_watch_new(const struct pk_catalog_watch_args *args);
void pk_catalog_watch_free(struct pk_catalog_watch *watch);
/* Asks once more, by the token of now: what waits was asked by one that isn't known any more. */
void pk_catalog_watch_anew(struct pk_catalog_watch *watch);
const struct pk_source *pk_catalog_watch_source(const struct pk_catalog_watch *watch);
