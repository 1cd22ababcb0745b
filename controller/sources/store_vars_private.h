/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Shared by store_vars.c, which answers what is asked; store_vars_look.c, which says when and
 * whether it can; store_vars_list.c, which keeps the list; store_vars_names.c, which takes a list's
 * names; store_vars_nodes.c, which keeps which nodes are ready; store_vars_read.c, which reads
 * values and tries what the token may see; and store_vars_write.c.
 */
#include <sys/queue.h>
#include <uthash.h>

#include "service.h"
#include "store_vars.h"
#include "tries.h"
#include "vars.h"

#define VARS_TIMEOUT_MS 10000
#define VARS_HOME_MAX	65536 /* most keys of operators and nodes */
/* most keys of what a node tells a tenant, with those that are to go */
#define VARS_TOLD_MAX 512

struct var {
	char *key;
	uint64_t created, modified; /* indexes, from the list */
	uint64_t next;		    /* the index to compare with at the next write */
	uint64_t touched;	    /* the list's index when it came, changed or went */
	/* the store's `stirs` when its holder came to live, or ceased to */
	uint64_t stirred;
	char *value;   /* NULL: none was read */
	char *holder;  /* NULL: nobody */
	uint64_t read; /* the index of the value that was read; 0: none was */
	bool seen, gone;
	uint64_t gone_ms;
	UT_hash_handle hh;
};

struct vars_node {
	char *id;
	bool ready;
	UT_hash_handle hh;
};

struct vars_budget { /* what a tenant has, or is told by a node, in one list */
	char *name;  /* "policies/tenants/acme", "status/tenants/acme/NODE" */
	size_t n, gone;
	UT_hash_handle hh;
};

/* A node whose words to tenants had no room in a list, and how many these are. */
struct vars_unnamed {
	char *node;
	size_t n;
	UT_hash_handle hh;
};

/* What a question finds among the variables; searched again when they change. */
struct vars_look {
	uint64_t changes; /* the store's `changes` at that search */
	bool due, gone;	  /* a variable that it waits for changed; went */
	size_t n;	  /* its keys */
	struct var *next; /* values of all keys before it are read */
	size_t text;	  /* bytes of these values */
};

enum vars_kind { VARS_ASK, VARS_INDEX, VARS_SAY, VARS_WRITE };

struct vars_call {
	struct vars_store *v;
	enum vars_kind kind;
	LIST_ENTRY(vars_call) link;
	char *prefix;
	enum pk_store_what what;
	bool leaders;
	struct pk_kv_wait *wait;
	struct pk_kv_budget budget;
	uint64_t index;	      /* waits for a change past it; 0: it doesn't wait */
	uint64_t deadline_ms; /* of the wait (loop time) */
	uint64_t number;      /* the number of the first list that may answer it */
	uint64_t pass;	      /* the last pass that looked at it */
	struct vars_look look;
	bool tried, hidden;	   /* tried: the token was tried; hidden: it may not see all */
	struct pk_http_call *http; /* the request of a trial or a write */
	char *key;		   /* of a write */
	char *told_by;		   /* the node whose words to tenants it asks for; NULL */
	LIST_ENTRY(vars_call) asks_told; /* with told_by: among all of these */
	char *holder;			 /* of VARS_SAY: its answer; NULL: there is none yet */
	bool done;
	pk_store_fn *fn;
	void *arg;
};

struct vars_store {
	struct pk_store store;
	struct pk_loop *loop;
	struct pk_http *http;
	const struct pk_config *config;
	char *home,
		*node; /* the operators' namespace; this node's name as the last part of a key */
	char *id;      /* of this node; NULL: not known */
	struct var *vars;
	struct vars_node *nodes, *heard; /* ready nodes; those of the answer that is being read */
	struct vars_budget *budgets;
	struct vars_unnamed *unnamed, *found_unnamed; /* as strays and found */
	/*
	 * keys at which no key of ours can be: known ones, and those of the list that is being read
	 */
	struct pk_str strays, found;
	size_t n_strays, n_found, n_home;
	LIST_HEAD(, vars_call) calls, ask_told;
	struct pk_timer *list_timer, *serve_timer, *nodes_timer;
	struct pk_http_call *list, *read, *nodes_call;
	struct pk_vars_reader *reader;
	struct pk_vars_nodes *nodes_reader;
	struct pk_err error, nodes_error;
	struct pk_source nodes_source;
	int result;
	struct pk_pace pace;
	uint64_t number, answered; /* number: of the last list; answered: of the last good one */
	uint64_t index, restored;
	struct pk_history nodes_history;
	uint64_t forgot;   /* the highest index of a variable that went and was forgotten */
	uint64_t stirs;	   /* how often a node came to live, or ceased to */
	uint64_t served;   /* calls that ended */
	uint64_t pass;	   /* looks at all calls */
	bool serving;	   /* a pass has calls left for the next turn */
	bool again;	   /* and another is due */
	uint64_t changes;  /* raised when questions may find something else among the variables */
	uint64_t looked;   /* how many variables were looked at for questions */
	uint64_t compared; /* how many calls were looked at for names */
	bool went_back;	   /* the list shows that the store is older than it was */
	bool fresh, waits; /* fresh: the next list is not to wait; waits: this one waits */
	bool knows_nodes;
	struct pk_tries tries; /* of the list; values are asked for where it came from */
	char *reading;	       /* the key that is being read */
};

struct pk_http_call *vars_start(struct vars_store *v, struct pk_service_call *call, pk_http_fn *fn,
				void *arg, struct pk_err *err);
static inline struct vars_store *store_of(struct pk_store *store)
{
	return (struct vars_store *)store;
}

struct vars_call *vars_call_new(struct vars_store *v, enum vars_kind kind, pk_store_fn *fn,
				void *arg);
void vars_call_free(struct vars_call *c);
struct pk_store_call *vars_write(struct pk_store *store, const struct pk_store_write *w,
				 pk_store_fn *fn, void *arg, struct pk_err *err);
#define VARS_MORE_ROOM "spread the tenant's allocations over more nodes, or use Consul"
int vars_fits(const struct pk_store *store, const char *key, const char *value, struct pk_err *err);
/* Returns whether what is below the prefix lies in all tenants' namespaces. */
bool vars_is_all_tenants(const struct pk_store *store, const char *prefix);
/* Returns whether a key is below the call's prefix. */
bool vars_is_below(const struct vars_call *c, const char *key);
/* Returns whether it is time to answer the call; with *gone the token is to be tried first. */
bool vars_is_due(struct vars_call *c, bool *gone);
/* Returns a variable whose value is still to be read for the answer; NULL: none is. */
struct var *vars_unread(struct vars_call *c);
/* Returns whether the values read so far are over the call's budget; `why` says by what. */
bool vars_is_over(struct vars_call *c, struct pk_str *why);
/* Looks at all calls soon. */
void vars_serve_soon(struct vars_store *v);
/* Fails every call that waits for the key, or with NULL for the list. */
void vars_fail(struct vars_store *v, const char *key, const struct pk_store_answer *answer);
void vars_finish(struct vars_call *c, const struct pk_store_answer *answer);
/* Returns whether the holder is this node or another that is ready; false for NULL. */
bool vars_lives(const struct vars_store *v, const char *holder);
/*
 * Take one list: its begin, each name (arg: the store), its end with the list's index. A list that
 * broke off says nothing of the variables that it lacks.
 */
void vars_names_begin(struct vars_store *v);
void vars_name(void *arg, const struct pk_var_name *name);
void vars_names_end(struct vars_store *v, uint64_t index, uint64_t now);
void vars_names_broke_off(struct vars_store *v);
void vars_names_free(struct vars_store *v);
/* Returns how many keys of what the node told tenants the last list had no room for. */
size_t vars_names_unnamed(const struct vars_store *v, const char *node);
/* Begins to keep the list and the nodes, and ends that. */
void vars_list_begin(struct vars_store *v);
void vars_list_end(struct vars_store *v);
/* Asks for a list at once. */
void vars_list_fresh(struct vars_store *v);
/* Begins to keep the nodes, and ends that. */
void vars_nodes_begin(struct vars_store *v);
void vars_nodes_end(struct vars_store *v);
const struct pk_source *vars_knows_who_lives(const struct pk_store *store);
/* Asks the leader for the nodes at once: those known may be of another history. */
void vars_nodes_fresh(struct vars_store *v);
/* Begins to read a value. */
void vars_read(struct vars_store *v, struct var *var);
/* Finds out whether the token may read below the call's prefix. */
void vars_try(struct vars_call *c);
