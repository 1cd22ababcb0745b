/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Brings together what the sources say: endpoints (records and Nomad's word), documents in force,
 * and the engine over both. It knows no tables and no sockets. Its only files are the facts that
 * must outlive it.
 */
#include "compile.h"
#include "docs.h"
#include "local_endpoint.h"
#include "remotes.h"
#include "rules.h"

/* The engine's endpoint that stands for quarantine: {reserved:init}, no address. */
#define PK_MODEL_INIT "reserved:init"

struct pk_model;

struct pk_model_args {
	const struct pk_settings *settings; /* copied by what needs it; see pk_model_settings */
	struct pk_docs *docs;		    /* outlives the model */
	const char *facts;		    /* directory of kept facts; NULL: they aren't kept */
	struct pk_writer *writer;	    /* writes facts; NULL: they are written at once */
};

struct pk_model *pk_model_new(const struct pk_model_args *args);
void pk_model_free(struct pk_model *model);
/* Takes new settings (the node's labels, a reload): everything is judged again. */
void pk_model_settings(struct pk_model *model, const struct pk_settings *settings);
/* Takes new limits of the networks alone: nothing is judged by them. */
void pk_model_networks(struct pk_model *model, const struct pk_settings *settings);
const struct pk_settings *pk_model_get_settings(const struct pk_model *model);
struct pk_engine *pk_model_engine(struct pk_model *model);
const struct pk_rules *pk_model_rules(const struct pk_model *model);
/* Returns other nodes' endpoints and blocks. Whoever changed the endpoints calls the second. */
struct pk_remotes *pk_model_remotes(const struct pk_model *model);
void pk_model_remotes_changed(struct pk_model *model);

/*
 * Takes the endpoint, and replaces one of its key, whose facts go on. Reads kept facts of a new
 * one.
 */
void pk_model_put(struct pk_model *model, struct pk_local_endpoint *ep);
bool pk_model_remove(struct pk_model *model, const char *key);
void pk_model_enforced(struct pk_model *model, const char *key, const struct pk_enforced *enforced);
/* Drops every endpoint that keep() doesn't know. */
bool pk_model_prune(struct pk_model *model, bool (*keep)(void *arg, const char *key), void *arg);

/* Removes kept facts of container ids that keep() doesn't know. */
void pk_model_tidy_facts(struct pk_model *model, bool (*keep)(void *arg, const char *container_id),
			 void *arg);

/*
 * Takes Nomad's whole list for this node; what it lacks changes nothing. Returns whether an
 * endpoint changed.
 */
bool pk_model_allocs(struct pk_model *model, struct pk_allocs *allocs);
/* Takes Nomad's word on one alloc, by a copy. */
bool pk_model_alloc(struct pk_model *model, const struct pk_alloc *alloc);
/*
 * Returns whether the last list has the alloc, or may have it: one that was refused without an id
 * could be any.
 */
bool pk_model_has_alloc(const struct pk_model *model, const char *id);
/* Returns the alloc of the last list, which may be a refused one; or NULL. */
const struct pk_alloc *pk_model_find_alloc(const struct pk_model *model, const char *id);

/* Gives the engine the documents that are in force. */
void pk_model_documents(struct pk_model *model);

/* Brings the engine in step, in turns; see pk_engine_compile_slice. slice NULL: in one. */
int pk_model_compile(struct pk_model *model, const struct pk_slice *slice, struct pk_err *err);
/*
 * Returns the namespaces that open endpoints have, or had not long ago, in byte order; NULL after
 * the last. Their bases are wanted.
 */
const char *pk_model_tenant(const struct pk_model *model, size_t i);
bool pk_model_has_tenant(const struct pk_model *model, const char *name);
/*
 * Returns whether the tenant's documents aren't known yet (pk_docs_awaits): its endpoints stay as
 * they are.
 */
bool pk_model_awaits(const struct pk_model *model, const char *tenant_name);
/* Returns whether a tenant went since this was asked last: its base must be withdrawn. */
bool pk_model_tenant_dropped(struct pk_model *model);

/*
 * Returns the i-th endpoint of which the model says something new since pk_model_settle; NULL after
 * the last. The first returns false where that is no list of few: settings or tenants changed, or
 * too many endpoints.
 */
bool pk_model_is_few(const struct pk_model *model);
const struct pk_local_endpoint *pk_model_touched(const struct pk_model *model, size_t i);
/*
 * Says that an endpoint is open now. Its record is there before its word is, so a pass of just then
 * found nothing to switch.
 */
void pk_model_opened(struct pk_model *model, const char *key);
/* Says that everything new is in the tables. */
void pk_model_settle(struct pk_model *model);

size_t pk_model_count(const struct pk_model *model);
/* Returns a number that rises with every endpoint that comes, goes or becomes another. */
uint64_t pk_model_changes(const struct pk_model *model);
/* Lists them by key; NULL starts and ends. */
const struct pk_local_endpoint *pk_model_next(const struct pk_model *model,
					      const struct pk_local_endpoint *ep);
/* Returns the i-th by key, NULL after the last. Good until an endpoint comes or goes. */
const struct pk_local_endpoint *pk_model_at(const struct pk_model *model, size_t i);
const struct pk_local_endpoint *pk_model_get(const struct pk_model *model, const char *key);
const struct pk_local_endpoint *pk_model_by_slot(const struct pk_model *model, uint32_t slot);
const struct pk_local_endpoint *pk_model_by_address(const struct pk_model *model,
						    const union pk_addr *address);
