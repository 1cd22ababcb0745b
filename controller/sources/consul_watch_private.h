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

/* An answer, kept until all is known that it takes to believe it. */
struct answer {
	struct pk_kvs kvs;
	uint64_t index;
	bool filtered; /* there is more than the token may see */
	bool behind;   /* its history is older than the one that was believed before */
	bool meant;    /* its generation says that it is meant as it is */
	bool anew;     /* an older history, but all that was believed before is there */
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
	bool suspected; /* the store is older than it was: the next answer is judged as such */
	bool polls;
	bool unserved;	/* the question waits on though nobody answers it */
	char over[320]; /* why the last answer is over its tenant's budget; "" */
	bool first;	/* no answer was believed yet */
	struct answer last;
	bool waits;	    /* the next question is that for the history of last */
	bool confirmed;	    /* what last lacks waits for pk_consul_judged */
	unsigned int flaps; /* how often the index went back, one soon after the other */
	uint64_t flap_ms;
	struct pk_consul_args args;
};

/* Takes the call that was begun, or tells why it can't be. */
void consul_begun(struct pk_consul *c, struct pk_store_call *call, const struct pk_err *err);
/* Asks for the keys below the prefix: the leader, or, with waits, what any server has newer. */
void consul_query(struct pk_consul *c, bool waits, pk_store_fn *fn);
void consul_ask_again(struct pk_consul *c);
void consul_failed(struct pk_consul *c, enum pk_source_fault fault, const char *why);
void consul_forget_last(struct pk_consul *c);
/*
 * Reads the answer into last. Returns false where it is none, or none to be taken; the next
 * question is then set.
 */
bool consul_receive(struct pk_consul *c, const struct pk_store_answer *answer);

/* Returns whether documents are held, or the history is behind: they may be back any moment. */
bool consul_is_lacking(const struct pk_consul *c);
/* Decides about last: it is doubted (waits then says when its history is asked for), or taken. */
bool consul_is_doubted(struct pk_consul *c);
void consul_ask_history(struct pk_consul *c);
void consul_take(struct pk_consul *c);
