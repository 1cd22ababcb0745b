/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The store in which nodes, operators and tenants leave texts for each other: Consul's KV
 * (store_consul.c) or Nomad's Variables (store_vars.c). It has keys with values, each with the
 * store's index at its last change. What of its answers is believed is decided by the callers.
 */
#include "conf.h"
#include "consul.h"
#include "http.h"
#include "kv_wait.h"
#include "loop.h"
#include "source.h"

#define PK_STORE_HOLDER 64 /* room for a holder's id */

struct pk_store;
struct pk_store_call;

struct pk_store_answer {
	const char *why; /* why it is no good; NULL: it is */
	enum pk_source_fault fault;
	bool refused;	    /* the token may not do that */
	bool over;	    /* the answer would be over its budget; `why` says by what */
	struct pk_kvs *kvs; /* of pk_store_ask, ordered by key; the caller may take them */
	uint64_t index;
	bool filtered;	/* the token may not see all keys */
	size_t unnamed; /* of a question with told_by: keys of that node that had no room */
	bool older;	/* the store was restored from a backup since the last wait */
	/* of a write: it was done, as nobody else was first; of a hold: it goes on */
	bool done;
	const char *holder;
};
/*
 * Is called once with the answer, never after a cancel. The answer is valid during the call only.
 */
typedef void pk_store_fn(void *arg, const struct pk_store_answer *answer);

enum pk_store_what {
	PK_STORE_KEYS,
	PK_STORE_NAMES,	 /* no values */
	PK_STORE_FOLDER, /* names up to the next slash, each once */
	PK_STORE_NEWS,	 /* nothing but that there is a change */
};
struct pk_store_question {
	const char *prefix; /* ends with "/" */
	enum pk_store_what what;
	/* the node whose words to tenants are named, too; NULL: a store may name its own alone */
	const char *told_by;
	bool leaders;		    /* asks the leader, as a follower may lag */
	struct pk_kv_wait *wait;    /* begun by the caller; NULL: the question doesn't wait */
	struct pk_kv_budget budget; /* of PK_STORE_KEYS */
	size_t cap;		    /* bytes of an answer */
	unsigned int timeout_ms;
	unsigned int turn; /* the asker's count of failed answers */
};
struct pk_store_write {
	const char *key;
	const char *value;  /* NULL: the key is deleted */
	const char *holder; /* its holder from then on; NULL: it has none */
	/* only where `modified` is the index of the key's last change; 0: where there is no key */
	bool compares;
	uint64_t modified;
	unsigned int turn;
};

struct pk_store_ops {
	const char *origin; /* the store's name in documents' sources (docsource.h) */
	const char *name;   /* "Consul", for people */
	/* a restored snapshot ends waits early, under the index that they named */
	bool waits_end_early;
	size_t text_max;       /* most bytes of a value */
	const char *more_room; /* how to mend a value that is too long */
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
	/* Asks again, by the token of now, what it asks by itself; NULL: it asks nothing. */
	void (*renew)(struct pk_store *store);
	/*
	 * Returns the source that says which nodes still hold their keys; NULL: the keys themselves
	 * say it.
	 */
	const struct pk_source *(*who_lives)(const struct pk_store *store);
	void (*rule)(const struct pk_store *store, const char *prefix, bool writes,
		     struct pk_str *out);
	void (*free)(struct pk_store *store);
};
/* The first member of a backend's own struct. */
struct pk_store {
	const struct pk_store_ops *ops;
	char *prefix; /* "picket/v1/default/", of all keys */
};

/* config must outlive them. */
struct pk_store *pk_store_consul_new(struct pk_http *http, const struct pk_config *config);
void pk_store_free(struct pk_store *store);

/*
 * Each of these starts a call. They return NULL where it can't be started, and err says why.
 * pk_store_cancel takes NULL.
 */

/* Asks for all keys below a prefix. */
static inline struct pk_store_call *pk_store_ask(struct pk_store *store,
						 const struct pk_store_question *q, pk_store_fn *fn,
						 void *arg, struct pk_err *err)
{
	return store->ops->ask(store, q, fn, arg, err);
}

/* Asks the leader for the store's newest index. */
static inline struct pk_store_call *pk_store_index(struct pk_store *store, const char *prefix,
						   unsigned int turn, pk_store_fn *fn, void *arg,
						   struct pk_err *err)
{
	return store->ops->index(store, prefix, turn, fn, arg, err);
}

/* Asks whether the token is known: where it isn't the store may show nothing, without an error. */
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
 * Makes this node a holder of keys for as long as it lives. holder is what the last call answered;
 * "": this is the first.
 */
static inline struct pk_store_call *pk_store_hold(struct pk_store *store, const char *holder,
						  const char *node, unsigned int turn,
						  pk_store_fn *fn, void *arg, struct pk_err *err)
{
	return store->ops->hold(store, holder, node, turn, fn, arg, err);
}

void pk_store_cancel(struct pk_store *store, struct pk_store_call *call);
/* Adds to out the ACL rule by which a token may read, or write, below the prefix. */
void pk_store_rule(const struct pk_store *store, const char *prefix, bool writes,
		   struct pk_str *out);
