/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Shared by consul_watch.c, which asks, and consul_watch_belief.c, which decides what is believed.
 */
#include "consul.h"
#include "consul_watch.h"
#include "kv_wait.h"
#include "service.h"
#include "store.h"

struct pk_consul;

/* An answer, kept until it is decided what of it is believed. */
struct answer {
	struct pk_kvs kvs;
	uint64_t index;
	bool filtered; /* there is more than the token may see */
	bool behind;   /* its history is older than the one believed before */
	bool meant;    /* its generation was raised: what it lacks is gone on purpose */
	bool anew;     /* of an older history that has all that was believed before */
	uint64_t heard_ms;
	size_t n_read;			   /* of its documents, those that were read ahead */
	void (*then)(struct pk_consul *c); /* what comes once all are; NULL: they are */
};

struct pk_consul {
	struct pk_timer *timer;
	struct pk_store_call *call;
	struct pk_source source;
	char *of, *prefix;
	const char *tenant_name; /* of `of`; NULL: the operator's */
	struct pk_pace pace;
	struct pk_kv_wait wait;
	uint64_t index;
	/*
	 * the store seems restored from a backup: the next answer is judged as one of an older
	 * history
	 */
	bool suspected;
	bool polls;
	char over[320]; /* why the last answer is over its tenant's budget; "" */
	bool first;	/* no answer was believed yet */
	struct answer last;
	struct pk_docs_ahead *ahead; /* of last */
	bool waits;		     /* the next question is the one that confirms `last` */
	bool confirmed;	    /* the loss in `last` is confirmed, and waits for pk_consul_judged */
	unsigned int flaps; /* how often in a row the index went back within FLAP_MS */
	uint64_t flap_ms;
	struct pk_consul_args args;
};

/* Takes the call that was begun; call NULL: notes why there is none. */
void consul_begun(struct pk_consul *c, struct pk_store_call *call, const struct pk_err *err);
/* Forgets the call, which is answered. */
void consul_ended(struct pk_consul *c);
/*
 * Asks for the keys below the prefix: by the leader, or, with waits, by any server once there is a
 * change.
 */
void consul_query(struct pk_consul *c, bool waits, pk_store_fn *fn);
void consul_ask_again(struct pk_consul *c);
void consul_failed(struct pk_consul *c, enum pk_source_fault fault, const char *why);
void consul_forget_last(struct pk_consul *c);
/*
 * Reads the answer into c->last. Returns false where it is no good; then the next question is set.
 */
bool consul_receive(struct pk_consul *c, const struct pk_store_answer *answer);
/* Reads last's documents, many in several turns, and then calls the function. */
void consul_read(struct pk_consul *c, void (*then)(struct pk_consul *c));
/* Reads as many as one turn has. */
void consul_read_on(struct pk_consul *c);

/*
 * Returns whether documents are held, or the history is behind: the question then waits for a short
 * time only.
 */
bool consul_is_lacking(const struct pk_consul *c);
/*
 * Decides about c->last. Returns true where it is doubted; c->waits then says that it is to be
 * confirmed.
 */
bool consul_is_doubted(struct pk_consul *c);
void consul_ask_history(struct pk_consul *c);
void consul_take(struct pk_consul *c);
