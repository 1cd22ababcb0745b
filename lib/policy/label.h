/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Label sets: what is known of an endpoint, and what isn't known yet. The canonical text is a JSON
 * array of the known labels ("key=value", a '=' inside a key as \u003d), sorted, then, if anything
 * is unknown, an array of those names, sorted:
 *
 *	["nomad:job=api","nomad:namespace=acme",["consul:service","meta:*","port:*"]]
 *
 * A name of the unknown is a key, "source:*" for every key of a source, or "*". "port:*" stands for
 * the endpoint's port labels. Ports that some policy names are part of an identity (world.h), and
 * so of its text: "port:http=8080/tcp".
 *
 * An endpoint without a namespace is in quarantine: its set is {reserved:init}, whatever else was
 * claimed, and nothing else is known of it.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "own.h"
#include "settings.h"

struct pk_label {
	char *key; /* canonical, "nomad:job" */
	char *value;
};

struct pk_label_set {
	struct pk_label *known; /* sorted by key, then value; a key may have several values */
	size_t n_known;
	char **unknown; /* sorted */
	size_t n_unknown;
	/* The value of nomad:namespace in known; NULL: quarantine, or the namespace is unknown. */
	const char *tenant_name;
	bool init;	      /* {reserved:init} */
	char *text;	      /* canonical, "" until pk_label_set_finish */
	uint64_t hash[2];     /* pk_hash128 of text: key of the `labels` table */
	unsigned int sharers; /* who else frees it */
};

/*
 * A set is built by adding in any order, then finishing it: that sorts, drops doubles, and makes
 * text and hash. -EINVAL: err says why.
 */
struct pk_label_set *pk_label_set_new(void);
void pk_label_set_add(struct pk_label_set *set, const char *key, const char *value);
void pk_label_set_add_unknown(struct pk_label_set *set, const char *name);
int pk_label_set_finish(struct pk_label_set *set, struct pk_err *err);
struct pk_label_set *pk_label_set_copy(const struct pk_label_set *set);
/*
 * Returns the same finished set for one more owner, who frees it as its own and changes nothing of
 * it.
 */
struct pk_label_set *pk_label_set_share(const struct pk_label_set *set);
void pk_label_set_free(struct pk_label_set *set);
static inline void pk_label_set_freep(struct pk_label_set **set)
{
	pk_label_set_free(*set);
}
#define own_labels PK_OWN(pk_label_set_freep) struct pk_label_set

/* Reads the canonical text, of a record or of GET /v1/world, back into a set. */
int pk_label_set_parse(const char *text, struct pk_label_set **out, struct pk_err *err);

/* Keeps sets by their texts: many endpoints that say the same share one. */
struct pk_label_sets;
struct pk_label_sets *pk_label_sets_new(void);
void pk_label_sets_free(struct pk_label_sets *sets);
/* Reads as pk_label_set_parse does; the set may be somebody else's, too. */
int pk_label_sets_parse(struct pk_label_sets *sets, const char *text, struct pk_label_set **out,
			struct pk_err *err);
/* Forgets those that nobody has any more. */
void pk_label_sets_tidy(struct pk_label_sets *sets);
size_t pk_label_sets_count(const struct pk_label_sets *sets);

/* The claims that ADD knows (docs/design.md, "Who an endpoint is"). NULL where CNI_ARGS lack it. */
struct pk_claims {
	const char *tenant_name; /* NULL: quarantine */
	const char *job, *group;
	/* Job and group are the operator's word ("nomad": null): known; the rest is absent. */
	bool believed;
};
/*
 * believed: {namespace, job, group, the node's own labels}, nothing unknown. Else the namespace and
 * the node's own labels are known and job, group, consul:service, meta:*, port:* unknown.
 * settings gives region, node, node pool, datacenter; those that are empty are unknown, or, where
 * believed, absent. Never NULL; finished.
 */
struct pk_label_set *pk_label_set_from_claims(const struct pk_claims *claims,
					      const struct pk_settings *settings);
/*
 * Makes a finished set of the labels that an operator gave (declared.h) and the node's own. Never
 * NULL.
 */
struct pk_label_set *pk_label_set_from_declared(const struct pk_label_set *declared,
						const struct pk_settings *settings);
/*
 * Makes the set of an endpoint of which nothing but its tenant is known (NULL: not even that): what
 * the table `bases` and a tenant's class are made for.
 */
struct pk_label_set *pk_label_set_of_tenant(const char *tenant_name);
struct pk_label_set *pk_label_set_init(void); /* {reserved:init} */
struct pk_label_set *
pk_label_set_unknown(void); /* an address of the pools whose owner isn't known */

/* Returns whether it could be the name of a Nomad namespace: 1 to 128 of a-z A-Z 0-9 -. */
bool pk_tenant_name_ok(const char *name);

/* What is known of a match; ordered, so that "and" is the least and "or" the most. */
enum pk_tri { PK_NO = 0, PK_MAYBE = 1, PK_YES = 2 };
static inline enum pk_tri pk_tri_and(enum pk_tri a, enum pk_tri b)
{
	return a < b ? a : b;
}
static inline enum pk_tri pk_tri_or(enum pk_tri a, enum pk_tri b)
{
	return a > b ? a : b;
}

/* Returns whether key is among the unknown ones (by name, source or "*"). */
bool pk_label_set_is_unknown(const struct pk_label_set *set, const char *key);
/*
 * Returns the first known label of key; the next ones of that key follow it in known[]. NULL: there
 * is none.
 */
const struct pk_label *pk_label_set_get(const struct pk_label_set *set, const char *key);

/*
 * Makes a tenant's key in a compiled rule set (ruleset.h), where identities have their text's hash.
 */
void pk_tenant_hash(const char *tenant_name, uint64_t out[2]);
