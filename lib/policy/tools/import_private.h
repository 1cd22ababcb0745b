/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The files import*.c share this: forms and documents (import.c), rules, entries, their peers and
 * ports, selectors (import_selector.c, and import_subject.c for those that aren't peers).
 */
#include "doc_read.h"
#include "import.h"
#include "selector.h"

enum import_form {
	IMPORT_API,	   /* Cilium's API: netreap's key; a key's case doesn't matter */
	IMPORT_KUBERNETES, /* its objects: selectors mean pods */
};

struct pk_importer {
	struct pk_reader r; /* notes, with lines of the original */
	const struct pk_import_options *options;
	enum import_form form;
	const char *tenant; /* the document will be this namespace's; NULL: the operator's */
	bool refused;
	bool quiet; /* said already: an entry is written a second time */
	size_t n_losses;
	bool deny, ingress; /* of the entries that are being read */
	bool about_init;    /* the rule's endpointSelector names reserved:init */
	struct pk_jw w;	    /* the document that is being written */
};

/* Notes of a change that keeps the meaning, of a loss, and of a refusal of the document. */
#define import_repair(im, v, key, fix, ...)                                                        \
	((im)->quiet ? (void)0 : pk_read_warn(&(im)->r, v, key, fix, __VA_ARGS__))
#define import_loss(im, v, key, fix, ...)                                                          \
	((im)->quiet ? (void)0                                                                     \
		     : ((im)->n_losses++, pk_read_error(&(im)->r, v, key, fix, __VA_ARGS__)))
#define import_refuse(im, v, key, fix, ...)                                                        \
	((im)->quiet ? (void)0                                                                     \
		     : ((im)->refused = true, pk_read_error(&(im)->r, v, key, fix, __VA_ARGS__)))

/*
 * Returns whether v is an object. A value of a wrong type is written as it is: the reader refuses
 * the result.
 */
bool pk_import_object(struct pk_importer *im, const char *key, const struct pk_json *v);
/* The member that Cilium reads as key; NULL: absent, or null. */
const struct pk_json *pk_import_get(const struct pk_importer *im, const struct pk_json *object,
				    const char *key);
/*
 * The name of known (ends with NULL) that m is read as. NULL: m is null, or it is none of them and
 * the document is refused.
 */
const char *pk_import_key(struct pk_importer *im, const struct pk_json *object,
			  const struct pk_json *m, const char *const *known);

/* Entities that a selector of peers matches in Cilium, where they have labels of their own. */
enum {
	IMPORT_HOST = 1 << 0,
	IMPORT_REMOTE_NODE = 1 << 1,
	IMPORT_WORLD = 1 << 2,
	IMPORT_INIT = 1 << 3,
	IMPORT_ENTITIES = IMPORT_HOST | IMPORT_REMOTE_NODE | IMPORT_WORLD | IMPORT_INIT,
	IMPORT_ALL = 1 << 4, /* and every endpoint too */
};
extern const char *const pk_import_entity_names[]; /* in the order of the bits; ends with NULL */

struct import_requirement {
	const struct pk_json *at, *key_at; /* the pair or expression, and its key */
	const struct pk_json *values;	   /* an array, a pair's string, or NULL */
	const char *written;		   /* the key as it stands there */
	enum import_label {
		IMPORT_LABEL,	  /* one of ours */
		IMPORT_NAMESPACE, /* nomad:namespace */
		IMPORT_RESERVED,  /* Cilium's entities */
		IMPORT_CLUSTER,	  /* the cluster's name, the same for every endpoint */
		IMPORT_ALIEN,	  /* nothing here has it */
	} label;
	char *key; /* as we write it; NULL where it isn't written */
	enum pk_op op;
	bool dropped; /* every endpoint that the selector may match fulfils it */
};

/* One selector of the original, taken apart. */
struct import_selector {
	struct import_requirement *req; /* owned */
	size_t n;
	bool unclear;	       /* of a wrong form: to be written as it is */
	bool everyone;	       /* matches endpoints without any condition that is left */
	bool endpoints;	       /* may match endpoints */
	bool but_init;	       /* and would match those without a namespace here alone */
	unsigned int entities; /* that it matches */
	const char *alien;     /* a label that nothing here has, on which endpoints depend */
	const char *other;     /* another cluster's name, on which they depend */
};
void pk_import_selector_done(struct import_selector *sel);
#define own_selector PK_OWN(pk_import_selector_done) struct import_selector

void pk_import_selector_read(struct pk_importer *im, const struct pk_json *v,
			     struct import_selector *sel);
bool pk_import_fulfils(const struct import_requirement *req, const char *value); /* NULL: absent */
/* The requirement speaks of namespaces: Kubernetes adds none of its own. */
bool pk_import_is_namespaced(const struct import_requirement *req);
void pk_import_expression(struct pk_importer *im, const char *key, enum pk_op op,
			  const struct pk_json *values);
/* Refuses an operator's selector that reads meta without naming the namespace. */
void pk_import_check_meta(struct pk_importer *im, const struct pk_json *at,
			  const struct import_selector *sel);
/* Writes the requirements that are left for endpoints. */
void pk_import_selector_write(struct pk_importer *im, const char *key, const struct pk_json *at,
			      const struct import_selector *sel);
/*
 * Reads a rule's endpointSelector. false: it selects nothing that is here, or the document is
 * refused.
 */
bool pk_import_subject(struct pk_importer *im, const struct pk_json *rule);
void pk_import_subject_write(struct pk_importer *im, const char *key, const struct pk_json *v);
/*
 * Writes selectors of which each matches endpoints that don't fulfil the requirements of one entry
 * (fromRequires, toRequires), as elements of a list. A peer must fulfil all of them.
 */
void pk_import_write_opposites(struct pk_importer *im, const struct pk_json *requires);

/* Writes the rule, or nothing. */
void pk_import_rule(struct pk_importer *im, const struct pk_json *rule);
/*
 * Writes the elements of a list of peers; kind: the key without its direction ("Endpoints").
 * Returns the entities that its selectors match, which are the caller's to write.
 */
unsigned int pk_import_peers(struct pk_importer *im, const char *kind, const struct pk_json *list);
/* A note, where an allow of this entity means less in a namespace's document. */
void pk_import_say_narrower(struct pk_importer *im, const struct pk_json *at, const char *entity);
/* Returns how many elements of toPorts can be written; notes say why others can't. */
size_t pk_import_kept_ports(struct pk_importer *im, const struct pk_json *list);
void pk_import_ports(struct pk_importer *im, const struct pk_json *list);
void pk_import_icmps(struct pk_importer *im, const struct pk_json *list);

/* The lists of a rule: "ingress", "egress", "ingressDeny", "egressDeny". */
/* requires_of: the list whose entries' requirements become denies of this one, or NULL. */
void pk_import_entries(struct pk_importer *im, const char *key, const struct pk_json *list,
		       const struct pk_json *requires_of);
