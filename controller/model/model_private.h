/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Shared by model.c and model_tenants.c. */
#include "by_address.h"
#include "model.h"
#include "writer.h"

#define MODEL_TOUCHED_MAX 16

struct tenant;
struct pk_model {
	struct pk_settings settings;
	struct pk_docs *docs;
	struct pk_engine *engine;
	struct pk_remotes *remotes;
	char *facts;
	struct pk_writer *writer;
	struct pk_local_endpoint **list; /* by key */
	size_t n, room;
	size_t walked;			  /* the place of what pk_model_next gave last */
	size_t searches;		  /* places that it had to search for */
	struct pk_local_endpoint **slots; /* by slot */
	size_t n_slots;
	struct pk_by_address *by_address;
	struct pk_allocs allocs;
	struct tenant *tenants; /* whose bases are wanted, by name */
	size_t n_tenants;
	uint64_t turn; /* counts looks at who has endpoints */
	uint64_t fed;  /* counts changes of endpoints */
	struct pk_local_endpoint *touched[MODEL_TOUCHED_MAX];
	size_t n_touched;
	bool many; /* more was touched than touched has, or what concerns all */
	bool tenants_stale, tenant_dropped;
};

/* Takes tenants whose documents an earlier controller knew, as if they had an endpoint lately. */
void model_remember_tenants(struct pk_model *m);
/* Has the engine make the bases of all tenants with an endpoint, and drops those long idle. */
void model_want_tenants(struct pk_model *m);
void model_free_tenants(struct pk_model *m);
