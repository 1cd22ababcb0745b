/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Watches the services that the operator declared and a policy in force names, each in its
 * catalogue, and writes the instances that count into the settings (struct pk_declared_service).
 */
#include "catalog_watch.h"
#include "docs.h"
#include "instances.h"
#include "journal.h"
#include "model.h"

struct pk_services;

struct pk_services_args {
	struct pk_loop *loop;
	struct pk_http *http;
	struct pk_config *config; /* whose settings are written; outlives it */
	const struct pk_docs *docs;
	struct pk_model *model;
	struct pk_journal *journal;
	bool (*is_own)(void *arg, const union pk_addr *addr); /* an address of this node */
	pk_loop_fn *changed; /* called when an instance came to count, or ceased to */
	void *arg;
};

struct pk_services *pk_services_new(const struct pk_services_args *args);
void pk_services_free(struct pk_services *services);
/* Says that documents or settings may have changed: watches begin and end. */
void pk_services_follow(struct pk_services *services);
/* Has what waits in Nomad's catalogue, or in Consul's, asked anew: there is another token. */
void pk_services_anew(struct pk_services *services, bool nomad);
/*
 * Drops the held instances that catalogues lack, as the operator asked for; returns false where
 * nothing is held.
 */
bool pk_services_release(struct pk_services *services);

/* A declared service as it is watched. */
struct pk_service_view {
	const struct pk_declared_service *declared;
	const struct pk_source *source; /* NULL: no policy names it, or its catalogue isn't asked */
	const struct pk_instance_table *table; /* NULL likewise */
	bool named;			       /* a policy in force names it */
};
/* Fills in the i-th service; false after the last. */
bool pk_services_view(struct pk_services *services, size_t i, struct pk_service_view *view);
