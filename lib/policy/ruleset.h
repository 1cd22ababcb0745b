/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * A compiled rule set: what the tables hold of one endpoint's policy (state.md, "Tables"), with
 * peers by content instead of this node's numbers. Immutable, shared by reference count.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "addr.h"
#include "ast.h"
#include "label.h"
#include "picket/maps.h"
#include "question.h"

/* key.rule_set is 0: the writer fills in the rule set's index. */
struct pk_verdict_entry {
	struct pk_verdict_key key;
	struct pk_verdict_value value;
};

/*
 * An entry of the table peer_class. An identity or tenant that has no number yet gets one, or is
 * left out until it has, and falls back to what a stranger gets.
 */
struct pk_peer_entry {
	/* Hash of the identity's text (pk_identity_text), or pk_tenant_hash of the namespace. */
	uint64_t hash[2];
	uint32_t class_nr;
	uint8_t dir; /* enum pk_dir */
	bool tenant;
	uint16_t pad;
};

struct pk_cidr_entry {
	union pk_addr addr; /* masked, v4-mapped */
	uint32_t bits;	    /* 0..128 of addr */
	uint32_t class_nr;
};

/* One cidr list; equal lists are one object, whose digest is the same wherever it was made. */
struct pk_cidr_list {
	unsigned int refs;
	uint64_t digest[2];
	struct pk_cidr_entry *entries; /* sorted by addr, then bits */
	size_t n;
	bool has_bits[129]; /* some entry has this length */
};

/* The toFQDNs entry that a name class stands for; it lives as long as its document. */
struct pk_name_class {
	uint32_t class_nr;
	uint32_t number; /* of the rule */
	const struct pk_entry *entry;
};

struct pk_image {
	unsigned int refs;
	uint64_t digest[2]; /* of everything below: equal content, equal digest */
	/*
	 * The origin tells whose rules these are, where endpoints to come may be treated apart: two
	 * rule sets that are equal today may not be tomorrow.
	 */
	uint64_t origin[2];
	uint32_t flags; /* PK_RULE_SET_* */
	bool audit;	/* some audit verdict differs from the live one: PK_WORD_AUDIT */
	bool uses_names;
	struct pk_verdict_entry *verdicts; /* sorted by key */
	size_t n_verdicts;
	struct pk_peer_entry *peers; /* sorted by dir, tenant, hash */
	size_t n_peers;
	struct pk_cidr_list *list[PK_LISTS]; /* NULL: the two world classes only; nothing beside */
	struct pk_name_class *names;
	size_t n_names;
};

struct pk_image *pk_image_ref(struct pk_image *image);
void pk_image_unref(struct pk_image *image);
static inline void pk_image_unrefp(struct pk_image **image)
{
	pk_image_unref(*image);
}
#define own_image PK_OWN(pk_image_unrefp) struct pk_image
/* Sorts the image and makes its digest. The compiler calls it once. */
void pk_image_finish(struct pk_image *image);

/* Makes a list of entries (taken over, any order), with its digest and order. */
struct pk_cidr_list *pk_cidr_list_new(struct pk_cidr_entry *entries, size_t n);
struct pk_cidr_list *pk_cidr_list_ref(struct pk_cidr_list *list);
void pk_cidr_list_unref(struct pk_cidr_list *list);
/* Returns the class of the longest match, PK_CLASS_NONE where nothing matches or list is NULL. */
uint32_t pk_cidr_list_class(const struct pk_cidr_list *list, const union pk_addr *addr);

/* The tables' knowledge of a question's peer, by content in place of this node's numbers. */
struct pk_image_facts {
	bool init;			 /* ENDPOINT of no tenant */
	uint64_t identity[2], tenant[2]; /* ENDPOINT: pk_identity hash and pk_tenant_hash */
	bool same_tenant;		 /* ENDPOINT: tenant equals the subject's */
	const uint32_t *name_classes;	 /* granted to (subject, address) */
	size_t n_name_classes;
	uint32_t open; /* PK_OPEN_* of the subject's port, ingress only */
};
/*
 * Looks up as the data path does: class by identity, tenant, reserved kind or list; one longest
 * match; open ports and names beside it.
 */
void pk_image_lookup(const struct pk_image *image, const struct pk_question *q,
		     const struct pk_image_facts *facts, struct pk_verdict_value *out);
uint32_t pk_image_class(const struct pk_image *image, const struct pk_question *q,
			const struct pk_image_facts *facts);
/* Returns the class in a list of the operator's, PK_CLASS_NONE where there is none. */
uint32_t pk_image_class_beside(const struct pk_image *image, enum pk_list list,
			       const struct pk_question *q);

/*
 * A delta leads from one image of a rule set to its next one, in place. That is possible where
 * every entry of the live classes and all lists stay as they are (only new classes, new or gone
 * peers). `replace` says that it isn't: build aside under a new number and switch.
 */
struct pk_image_delta {
	bool replace;
	const struct pk_verdict_entry **verdicts; /* to add, first */
	size_t n_verdicts;
	const struct pk_peer_entry **peers; /* to add, second */
	size_t n_peers;
	const struct pk_peer_entry **gone; /* peers to remove, last */
	size_t n_gone;
};
void pk_image_diff(const struct pk_image *from, const struct pk_image *to,
		   struct pk_image_delta *out);
void pk_image_delta_done(struct pk_image_delta *delta);
