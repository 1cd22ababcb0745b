/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Where nodes, operators and tenants leave word for each other: Consul's KV
 * (store_consul.c) or Nomad's Variables (store_vars.c). It has keys with values, each with the
 * store's index at its last change. What is believed of its answers is decided by who asks.
 */
#include "conf.h"
#include "consul.h"
#include "http.h"
#include "kv_wait.h"
#include "loop.h"
#include "source.h"

#define PK_STORE_HOLDER 64 /* of who holds a key */

struct pk_store;
struct pk_store_call;

struct pk_store_answer {
	const char *why; /* why it is no good; NULL: it is */
	enum pk_source_fault fault;
	bool refused;	    /* the token may not do that */
	bool over;	    /* it would be over its budget: why says by what */
	struct pk_kvs *kvs; /* of pk_store_ask, ordered by key; whoever asked may take them */
	uint64_t index;
	bool filtered; /* there is more than the token may see */
	bool older;    /* the store was restored since the wait before */
	bool done;     /* of a write: no other was first; of a hold: it goes on */
	const char *holder;
};
/* The answer is valid during the call only, which comes once, and never after a cancel. */
typedef void pk_store_fn(void *arg, const struct pk_store_answer *answer);

enum pk_store_what {
	PK_STORE_KEYS,
	PK_STORE_NAMES,	 /* no values */
	PK_STORE_FOLDER, /* names up to the next slash, each once */
	PK_STORE_NEWS,	 /* as little as can be waited for */
};
struct pk_store_question {
	const char *prefix; /* ends with "/" */
	enum pk_store_what what;
	bool leaders;		    /* the leader's own answer: no follower's that may lag */
	struct pk_kv_wait *wait;    /* that was begun; NULL: it doesn't wait */
	struct pk_kv_budget budget; /* of PK_STORE_KEYS */
	size_t cap;		    /* bytes of an answer */
	unsigned int timeout_ms;
	unsigned int turn; /* the asker's count of failed answers */
};
struct pk_store_write {
	const char *key;
	const char *value;  /* NULL: the key goes */
	const char *holder; /* who holds it from then on; NULL: nobody */
	bool compares;	    /* with the index of its last change; 0: it isn't there */
	uint64_t modified;
	unsigned int turn;
};

struct pk_store_ops {
	const char *origin;    /* docsource.h */
	const char *name;      /* "Consul", for people */
	bool waits_end_early;  /* by a restored snapshot, and under the index that was named */
	size_t text_max;       /* of a value */
	const char *more_room; /* what to do where a value would be longer */
	/* Fails for a key that can never be written, whoever asks; value may be NULL. */
	int (*fits)(const struct pk_store *store, const char *key, const char *value,
		    struct pk_err *err);
	struct pk_store_call *(*ask)(struct pk_store *store, const struct pk_store_question *q,
				     pk_store_fn *fn, void *arg, struct pk_err *err);
	struct pk_store_call *(*index)(struct pk_store *store, const char *prefix,
				       unsigned int turn, pk_store_fn *fn, void *arg,
				       struct pk_err *err);
	struct pk_store_call *(*check)(struct pk_store *store, unsigned int turn, pk_store_fn *fn,
				       void *arg, struct pk_err *err);
	struct pk_store_call *(*write)(struct pk_store *store, const struct pk_store_write *write,
				       pk_store_fn *fn, void *arg, struct pk_err *err);
	struct pk_store_call *(*hold)(struct pk_store *store, const char *holder, const char *node,
				      unsigned int turn, pk_store_fn *fn, void *arg,
				      struct pk_err *err);
	void (*cancel)(struct pk_store_call *call);
	/* Asks anew what it asks by itself, by the token of now; NULL: it asks nothing. */
	void (*renew)(struct pk_store *store);
	/* Returns whose word it is which nodes hold their keys still; NULL: the keys say it. */
	const struct pk_source *(*who_lives)(const struct pk_store *store);
	void (*rule)(const struct pk_store *store, const char *prefix, bool writes,
		     struct pk_str *out);
	void (*free)(struct pk_store *store);
};
/* A backend's own begins with it. */
struct pk_store {
	const struct pk_store_ops *ops;
	char *prefix; /* "picket/v1/default/", of all keys */
};

/* config outlives them. */
struct pk_store *pk_store_consul_new(struct pk_http *http, const struct pk_config *config);
void pk_store_free(struct pk_store *store);

/*
 * Each starts a call. NULL: it can't be started, and err says why. pk_store_cancel takes NULL.
 */

/* Asks for all keys below a prefix. */
static inline struct pk_store_call *pk_store_ask(struct pk_store *store,
						 const struct pk_store_question *q, pk_store_fn *fn,
						 void *arg, struct pk_err *err)
{
	return store->ops->ask(store, q, fn, arg, err);
}

/* Asks the leader for the index that the store has come to. */
static inline struct pk_store_call *pk_store_index(struct pk_store *store, const char *prefix,
						   unsigned int turn, pk_store_fn *fn, void *arg,
						   struct pk_err *err)
{
	return store->ops->index(store, prefix, turn, fn, arg, err);
}

/* Asks whether the token is known: an unknown one may be shown nothing, without an error. */
static inline struct pk_store_call *pk_store_check(struct pk_store *store, unsigned int turn,
						   pk_store_fn *fn, void *arg, struct pk_err *err)
{
	return store->ops->check(store, turn, fn, arg, err);
}

static inline struct pk_store_call *pk_store_write(struct pk_store *store,
						   const struct pk_store_write *write,
						   pk_store_fn *fn, void *arg, struct pk_err *err)
{
	return store->ops->write(store, write, fn, arg, err);
}

/* Fails for a key that the store can never take: its path or its value is too long. */
static inline int pk_store_fits(const struct pk_store *store, const char *key, const char *value,
				struct pk_err *err)
{
	return store->ops->fits(store, key, value, err);
}

/*
 * Has this node hold keys for as long as it lives. holder is what the call before answered; "":
 * nothing yet.
 */
static inline struct pk_store_call *pk_store_hold(struct pk_store *store, const char *holder,
						  const char *node, unsigned int turn,
						  pk_store_fn *fn, void *arg, struct pk_err *err)
{
	return store->ops->hold(store, holder, node, turn, fn, arg, err);
}

void pk_store_cancel(struct pk_store *store, struct pk_store_call *call);
/* Writes the rule of an ACL by which a token may read, or write, below the prefix. */
void pk_store_rule(const struct pk_store *store, const char *prefix, bool writes,
		   struct pk_str *out);
