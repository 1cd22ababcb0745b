/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Shared by sync.c, sync_sets.c, sync_identity.c, sync_remote.c and sync_tidy.c. */
#include <uthash.h>

#include "sync.h"
#include "tables.h"

struct place {
	struct pk_image *image; /* what is in force there; NULL: free, or an earlier controller's */
	uint64_t digest[2]; /* of the image, where this is the place that by_digest has for it */
	bool found;	    /* it is in by_digest */
	bool amended;	    /* in this pass: words that name it get a new revision */
	bool complete;	    /* every peer of it has a number and a class */
	unsigned int idle;  /* so many tidies in a row nobody named it; 2: it may go */
	UT_hash_handle hh;
};

struct ports_memo {
	uint64_t hash[2];
	uint64_t fed;	 /* what the model said of the endpoint when they were written */
	uint32_t opened; /* of the endpoint that they were written for */
	bool known;
};

struct told_memo {
	uint64_t hash[2];
	uint64_t fed, dns; /* what the model and resolv.conf said when it was written */
	uint32_t opened;
	bool known;
};

/* The node's resolvers and search list. */
struct sync_dns {
	union pk_addr servers[2 * PK_TOLD_SERVERS];
	size_t n_servers;
	struct pk_str search;
	uint64_t number; /* another one with each reading */
};

/* An identity that stands, in a rule set, for the one that its endpoint had before. */
struct carried {
	uint32_t rule_set, identity;
};

/* An address in the table `remote`. */
struct remote_memo {
	union pk_addr addr;
	struct pk_remote value;
	UT_hash_handle hh;
};

struct pk_sync {
	const struct pk_paths *paths;
	struct pk_bpf *bpf;
	struct place *places; /* by rule set number */
	struct place *by_digest;
	size_t n_places;
	struct ports_memo *ports; /* by slot */
	struct told_memo *told;	  /* by slot */
	uint64_t *refused; /* by slot: what the model had said when its limits were looked at */
	struct sync_dns dns;
	struct carried *carried;
	size_t n_carried;
	struct remote_memo *remotes; /* all that the table has */
	bool stripped;		     /* of what an earlier controller left half done */
	/* Of the last pass over every endpoint: */
	uint64_t changes; /* the engine's count */
	uint64_t full_ns; /* when it began */
	bool settled;	  /* nothing of it, nor of a pass since, is to be done again */
};

struct target {
	const struct pk_local_endpoint *ep;
	struct pk_image *image;
	uint64_t hash[2]; /* of its identity */
	struct pk_labels labels;
	uint32_t rule_set; /* 0: none could be made; it stays as it is */
};

/* Another node's endpoint and its numbers on this one. */
struct remote_target {
	const struct pk_remote_endpoint *e;
	struct pk_labels labels;
};

struct sync_pass {
	struct pk_sync *sync;
	const struct pk_sync_want *want;
	struct pk_sync_done *done;
	struct target *targets;
	size_t n_targets;
	struct remote_target *remotes;
	size_t n_remotes;
	struct pk_err *err;
	int result;
	bool held; /* somebody keeps the node lock: the rest waits for the next pass */
	bool late; /* rule sets are still to be made: so does the rest then */
};

/* What a place holds now; NULL: nothing. */
void sync_remember(struct pk_sync *s, uint32_t place, struct pk_image *image);
void sync_error(struct sync_pass *p, int r, const struct pk_err *e);
/* Where a rule set was made since: is it time to leave? Then the caller does. */
void sync_ask_late(struct sync_pass *p, unsigned int installed_before);
bool sync_has_told(const struct sync_pass *p, const struct target *t);
void sync_tell(struct sync_pass *p, const struct target *t);
/* The limits of those that the pass looks at. */
void sync_limits(struct sync_pass *p);
/* Open by record and by word, of this epoch: the pass's business. */
bool sync_is_live(const struct sync_pass *p, const struct pk_local_endpoint *m);
/* The numbers of an identity; all: what was asked in this pass, for many have one identity. */
struct identity;
int sync_numbers_of(struct sync_pass *p, const struct pk_identity_ref *id, struct identity **all,
		    struct pk_labels *labels);
/* Of other nodes' endpoints: their numbers, what goes, what comes; and what the table has. */
void sync_remotes_take(struct sync_pass *p, struct identity **all);
void sync_remotes_drop(struct sync_pass *p);
void sync_remotes_set(struct sync_pass *p);
void sync_remotes_read(struct pk_sync *s);
void sync_remotes_forget(struct pk_sync *s);
int sync_by_hash(const void *a, const void *b); /* 16 bytes each */
/* A place that holds image: the equal one, else the users' own amended, else a new one. 0: error.
 */
uint32_t sync_place(struct sync_pass *p, struct pk_image *image, const struct target *users,
		    size_t n);
/* The place that holds an equal image, 0: none. */
uint32_t sync_find_place(struct pk_sync *s, const struct pk_image *image);
/* Peers that have got their number since are added to the rule sets that wait for them. */
void sync_complete(struct sync_pass *p);
void sync_bases(struct sync_pass *p);
/* Names that no endpoint or wanted base accounts for: the next ADD compiles instead. */
void sync_withdraw(struct sync_pass *p);
/* Before any rule set changes: each endpoint gets its identity, under the verdicts it had. */
void sync_move_identities(struct sync_pass *p);
/* Has the endpoint another identity than its entry in the tables? */
bool sync_moves(const struct sync_pass *p, const struct target *t);
/* After the words are switched: rule sets speak of the new identities themselves. */
void sync_settle_identities(struct sync_pass *p);
