/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Shared by sync.c and all files whose names begin with sync_. */
#include <uthash.h>

#include "sync.h"
#include "tables.h"

struct set_at {
	struct pk_image *image; /* what it holds; NULL: it is free, or an earlier picketd's */
	uint64_t digest[2];	/* the image's digest, if by_digest has this rule set for it */
	bool found;		/* it is in by_digest */
	bool amended;		/* changed in this pass: words that name it get a new revision */
	bool complete;		/* all its peers have a number and a class */
	unsigned int idle;	/* tidies in a row in which no word named it; at 2 it may go */
	UT_hash_handle hh;
};

struct ports_memo {
	uint64_t hash[2];
	uint64_t fed;	 /* the endpoint's `fed` (local_endpoint.h) at that write */
	uint32_t opened; /* the endpoint's opening at that write */
	bool known;
};

struct told_memo {
	uint64_t hash[2];
	uint64_t fed, dns; /* what the model and resolv.conf said at that write */
	uint32_t opened;
	bool known;
};

/* The node's resolvers and search list. */
struct sync_dns {
	union pk_addr servers[2 * PK_TOLD_SERVERS];
	size_t n_servers;
	struct pk_str search;
	uint64_t number; /* counts the readings */
};

/* An identity that is a stand-in for its endpoint's old one in a rule set (sync_identity.c). */
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
	struct set_at *sets; /* by rule set number */
	struct set_at *by_digest;
	size_t n_sets;
	struct ports_memo *ports; /* by slot */
	struct told_memo *told;	  /* by slot */
	uint64_t *refused;	  /* by slot: the endpoint's `fed` when its limits were refused */
	struct sync_dns dns;
	struct carried *carried;
	size_t n_carried;
	bool more_labels;	     /* tidying has more label sets to look at */
	struct remote_memo *remotes; /* all that the table has */
	bool log_closed;	     /* as the last pass wanted it */
	bool stripped;		     /* stand-ins that an earlier picketd left are taken back */
	/* The last pass over every endpoint: */
	uint64_t changes; /* the engine's count */
	uint64_t full_ns; /* when it began */
	bool settled;	  /* everything of that pass and those since is done */
};

struct target {
	const struct pk_local_endpoint *ep;
	struct pk_image *image;
	uint64_t hash[2]; /* hash of its identity */
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
	bool late; /* time is up and rule sets are still to be made: likewise */
};

/* Remembers the image that a rule set holds now; NULL: none. */
void sync_remember(struct pk_sync *s, uint32_t number, struct pk_image *image);
void sync_error(struct sync_pass *p, int r, const struct pk_err *e);
/* Sets p->late where time is up and a rule set was made in this turn; the caller leaves then. */
void sync_ask_late(struct sync_pass *p, unsigned int installed_before);
bool sync_has_told(const struct sync_pass *p, const struct target *t);
void sync_tell(struct sync_pass *p, const struct target *t);
/* Writes the limits of the endpoints that the pass looks at. */
void sync_limits(struct sync_pass *p);
/*
 * Returns whether the pass looks at the endpoint: its record and its word say that it is open, in
 * this epoch.
 */
bool sync_is_live(const struct sync_pass *p, const struct pk_local_endpoint *m);
/*
 * Finds the endpoints of a pass, with few only those that changed. It takes identity numbers first,
 * so that rule sets that are installed afterwards find their peers'.
 */
void sync_take_numbers(struct sync_pass *p, bool few);
/* Gives each group of equal images one rule set. */
void sync_install_targets(struct sync_pass *p);
/*
 * Looks up an identity's numbers. *all remembers what was looked up in this pass, since many
 * endpoints share one.
 */
struct identity;
int sync_numbers_of(struct sync_pass *p, const struct pk_identity_ref *id, struct identity **all,
		    struct pk_labels *labels);
/*
 * For other nodes' endpoints: take their numbers, delete the entries that go, add those that come,
 * read what the table has, forget all.
 */
void sync_remotes_take(struct sync_pass *p, struct identity **all);
void sync_remotes_drop(struct sync_pass *p);
void sync_remotes_set(struct sync_pass *p);
void sync_remotes_read(struct pk_sync *s);
void sync_remotes_forget(struct pk_sync *s);
int sync_by_hash(const void *a, const void *b); /* orders hashes of 16 bytes */
/*
 * Returns a rule set that holds the image: an equal one, else the users' own one amended, else a
 * new one; 0: error.
 */
uint32_t sync_install(struct sync_pass *p, struct pk_image *image, const struct target *users,
		      size_t n);
/* Returns the rule set that holds an equal image, 0: none. */
uint32_t sync_find_set(struct pk_sync *s, const struct pk_image *image);
/* Adds peers whose number is known by now to the rule sets that wait for it. */
void sync_complete(struct sync_pass *p);
void sync_bases(struct sync_pass *p);
/* Deletes names that no endpoint and no wanted base needs: the next ADD compiles instead. */
void sync_withdraw(struct sync_pass *p);
/* Gives each endpoint its new identity, with the old one's verdicts, before rule sets change. */
void sync_move_identities(struct sync_pass *p);
/* Returns whether the endpoint has another identity than its entry in the tables. */
bool sync_moves(const struct sync_pass *p, const struct target *t);
/*
 * Takes back the stand-ins after the words are switched: the rule sets name the new identities
 * themselves.
 */
void sync_settle_identities(struct sync_pass *p);
