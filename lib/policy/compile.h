/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The compiler: documents and endpoints in, rule sets out. Pure: no clock, no files, no maps.
 *
 *	engine = pk_engine_new(&settings);
 *	pk_engine_set_documents(engine, docs, n);	the engine keeps the pointers alone
 *	pk_engine_put(engine, endpoint);
 *	pk_engine_remove(engine, key);
 *	pk_engine_compile(engine, err);			what changed since the last call
 *	image = pk_engine_image(engine, key);		compare its digest with what is in force
 *
 * Level-triggered: after each compile the caller walks what it wants (images of its local
 * endpoints, bases of its tenants) and writes the difference to the tables.
 */
#include "ast.h"
#include "err.h"
#include "rules.h"
#include "ruleset.h"
#include "settings.h"
#include "world.h"

struct pk_engine;

struct pk_engine *pk_engine_new(const struct pk_settings *settings);
void pk_engine_free(struct pk_engine *engine);
/* Copies what it needs. Everything is compiled anew at the next compile. */
void pk_engine_set_settings(struct pk_engine *engine, const struct pk_settings *settings);

/*
 * The whole set of documents in force. A pointer that was in the last set is taken as unchanged;
 * documents that are no longer in the set must stay alive until this returns.
 * Sets the entries' rule numbers.
 */
void pk_engine_set_documents(struct pk_engine *engine, struct pk_document *const *docs, size_t n);
/* Returns the rule numbers, valid until the next set_documents; NULL before the first. */
const struct pk_rules *pk_engine_rules(const struct pk_engine *engine);

/* Takes ownership of ep, which replaces the one of that key, whatever changed. */
void pk_engine_put(struct pk_engine *engine, struct pk_world_endpoint *ep);
int pk_engine_remove(struct pk_engine *engine, const char *key); /* -ENOENT */
const struct pk_world *pk_engine_world(const struct pk_engine *engine);
/*
 * Says that a tenant's base is wanted (table `bases`; NULL: that of any other tenant), until it is
 * dropped.
 */
void pk_engine_want_base(struct pk_engine *engine, const char *tenant_name);
void pk_engine_drop_base(struct pk_engine *engine, const char *tenant_name);

/* The room that the tables have. 0: no limit. */
struct pk_engine_limits {
	size_t rule_sets, verdicts, peers, cidrs;
	size_t rule_set; /* verdict entries of one; 0 = PK_RULE_SET_VERDICTS_MAX */
	/*
	 * These bound the rule sets that one tenant's own documents shape: the first three all of
	 * them together, tenant_rule_set each.
	 */
	size_t tenant_verdicts, tenant_peers, tenant_cidrs, tenant_rule_set;
};
void pk_engine_set_limits(struct pk_engine *engine, const struct pk_engine_limits *limits);

/*
 * Recompiles what is stale. -E2BIG, over a limit of pk_engine_limits: every image is as it was.
 * -EFBIG: a rule set is larger than any may be, or than its tenant has left; its endpoints keep the
 * image that they had (NULL if there never was one), and all others are compiled. If the operator's
 * documents have changed since that image, such an endpoint gets one of the operator's documents
 * alone, as if all its tenant's documents denied: a tenant that writes too much doesn't undo the
 * operator.
 */
int pk_engine_compile(struct pk_engine *engine, struct pk_err *err);
/*
 * Recompiles in turns, each until late() says that the rest must wait. -EAGAIN: there is a rest,
 * and every image is as it was. What changes meanwhile is taken in.
 */
struct pk_slice {
	bool (*late)(void *arg);
	void *arg;
};
int pk_engine_compile_slice(struct pk_engine *engine, const struct pk_slice *slice,
			    struct pk_err *err);

/*
 * Tells whether an endpoint's image is what all documents make, or what those of the operators make
 * alone. It is asked after a compile that returned 0 or -EFBIG.
 */
enum pk_fit { PK_FIT_NONE, PK_FIT_OPERATORS, PK_FIT_ALL };
enum pk_fit pk_engine_fit(const struct pk_engine *engine, const char *key);

/*
 * Counts the images that took the place of another one. As long as it stays, an endpoint that came
 * changed nothing for those that were there.
 */
uint64_t pk_engine_changes(const struct pk_engine *engine);

/*
 * Returns the image, valid until the next compile; take a reference to keep it. NULL: the key is
 * unknown, its endpoint isn't local, or it isn't compiled yet.
 */
struct pk_image *pk_engine_image(const struct pk_engine *engine, const char *key);
struct pk_image *pk_engine_base(const struct pk_engine *engine, const char *tenant_name);

/*
 * An endpoint's identity: its labels and the values of those of its port labels that some policy
 * names. The hash is the key in `labels` (equal to the label set's own where no port counts).
 */
struct pk_identity_ref {
	uint64_t hash[2];
	const char *text;	 /* canonical */
	const char *tenant_name; /* NULL: quarantine */
};
int pk_engine_identity(const struct pk_engine *engine, const char *key,
		       struct pk_identity_ref *out); /* -ENOENT */

/*
 * The endpoint's own open ports (`open_ports`), by baseline and settings; caller frees. proto is
 * never PK_PROTO_ANY.
 */
struct pk_open_entry {
	uint8_t proto;
	uint16_t port;
	uint32_t flags; /* PK_OPEN_* */
};
size_t pk_engine_open_ports(const struct pk_engine *engine, const char *key,
			    struct pk_open_entry **out);

/* Sizes of everything wanted now, for the capacity check before anything is written. */
struct pk_engine_size {
	size_t rule_sets; /* distinct images */
	size_t verdicts, peers, cidrs, lists;
	size_t identities, tenants;
	size_t largest; /* verdict entries of the largest rule set */
};
void pk_engine_size(const struct pk_engine *engine, struct pk_engine_size *out);

/*
 * Each of these tells of a selector or a service that matches nothing today, in one line of text
 * (document, path, why).
 */
struct pk_unresolved {
	const struct pk_document *doc;
	const struct pk_rule *rule;
	const struct pk_entry *entry; /* NULL: the endpointSelector selects nothing */
	int dir;
	char what[160];
};
size_t pk_engine_unresolved(struct pk_engine *engine, struct pk_unresolved **out);
/* Tells of one document alone; of none where the engine hasn't got it. */
size_t pk_engine_unresolved_of(struct pk_engine *engine, const struct pk_document *doc,
			       struct pk_unresolved **out);

/*
 * Returns whether a document means that service. One that is declared without a namespace is meant
 * by its name alone.
 */
bool pk_declared_service_is_meant(const struct pk_declared_service *d,
				  const struct pk_document *doc, const struct pk_service_ref *ref);

/*
 * Compiles a tenant's base rule set for the plugin: that of an endpoint whose namespace alone is
 * known (NULL: of any tenant), with no other endpoint known. The image is the caller's.
 */
int pk_compile_base(const struct pk_settings *settings, struct pk_document *const *docs, size_t n,
		    const char *tenant_name, struct pk_image **out, struct pk_err *err);
/* Compiles likewise for any label set (quarantine, believed claims). */
int pk_compile_labels(const struct pk_settings *settings, struct pk_document *const *docs, size_t n,
		      const struct pk_label_set *labels, struct pk_image **out, struct pk_err *err);
