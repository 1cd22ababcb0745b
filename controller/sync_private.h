/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Shared by sync.c, sync_sets.c and sync_identity.c. */
#include "sync.h"
#include "tables.h"

struct place {
	struct pk_image *image; /* what is in force there; NULL: free, or an earlier controller's */
	bool amended;		/* in this pass: words that name it get a new revision */
	bool complete;		/* every peer of it has a number and a class */
	bool idle;		/* nobody named it at the last tidy */
};

struct ports_memo {
	uint64_t hash[2];
	uint32_t opened; /* of the endpoint that they were written for */
	bool known;
};

/* An identity that stands, in a rule set, for the one that its endpoint had before. */
struct carried {
	uint32_t rule_set, identity;
};

struct pk_sync {
	const struct pk_paths *paths;
	struct pk_bpf *bpf;
	struct place *places; /* by rule set number */
	size_t n_places;
	struct ports_memo *ports; /* by slot */
	struct carried *carried;
	size_t n_carried;
	bool stripped; /* of what an earlier controller left half done */
};

struct target {
	const struct pk_local_endpoint *ep;
	struct pk_image *image;
	uint64_t hash[2]; /* of its identity */
	struct pk_labels labels;
	uint32_t rule_set; /* 0: none could be made; it stays as it is */
};

struct sync_pass {
	struct pk_sync *sync;
	const struct pk_sync_want *want;
	struct pk_sync_done *done;
	struct target *targets;
	size_t n_targets;
	struct pk_err *err;
	int result;
};

void sync_error(struct sync_pass *p, int r, const struct pk_err *e);
/* A place that holds image: the equal one, else the users' own amended, else a new one. 0: error.
 */
uint32_t sync_place(struct sync_pass *p, struct pk_image *image, const struct target *users,
		    size_t n);
void sync_bases(struct sync_pass *p);
/* Names that no endpoint or wanted base accounts for: the next ADD compiles instead. */
void sync_withdraw(struct sync_pass *p);
/* Before any rule set changes: each endpoint gets its identity, under the verdicts it had. */
void sync_move_identities(struct sync_pass *p);
/* After the words are switched: rule sets speak of the new identities themselves. */
void sync_settle_identities(struct sync_pass *p);
