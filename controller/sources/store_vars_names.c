/* SPDX-License-Identifier: Apache-2.0 */
/* Takes the names of one list of Picket's variables, and what it lacks. It asks nobody. */
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "own.h"
#include "store_vars_private.h"

#define FORGET_MS  600000 /* how long a variable that went is remembered; no question is older */
#define STRAYS_MAX 4	  /* the most stray keys that are named */

static void var_free(struct vars_store *v, struct var *var)
{
	HASH_DEL(v->vars, var);
	free(var->key);
	free(var->value);
	free(var->holder);
	free(var);
}

static void stray(struct vars_store *v, const struct pk_var_name *name)
{
	if (v->n_found++ < STRAYS_MAX)
		pk_str_addf(&v->found, "%s%.200s of namespace %.64s", v->n_found > 1 ? ", " : "",
			    name->path, name->namespace);
}

static void unnamed_free(struct vars_unnamed **all)
{
	struct vars_unnamed *u, *next;

	HASH_ITER (hh, *all, u, next) {
		HASH_DEL(*all, u);
		free(u->node);
		free(u);
	}
}

/* Counts a key of what a node told a tenant, for which the list has no room. */
static void count_unnamed(struct vars_store *v, const char *key)
{
	const char *last = strrchr(key, '/');
	const char *node = last ? last + 1 : key;
	struct vars_unnamed *u;

	HASH_FIND_STR(v->found_unnamed, node, u);
	if (!u) {
		u = pk_alloc(sizeof(*u));
		u->node = pk_strdup(node);
		HASH_ADD_KEYPTR(hh, v->found_unnamed, u->node, strlen(u->node), u);
	}
	u->n++;
}

size_t vars_names_unnamed(const struct vars_store *v, const char *node)
{
	struct vars_unnamed *u;

	HASH_FIND_STR(v->unnamed, node, u);
	return u ? u->n : 0;
}

/*
 * Returns the budget of the key's tenant, by the folder "policies/tenants/acme", or of what a node
 * tells him, "status/tenants/acme/NODE"; NULL: the key is of neither.
 */
static struct vars_budget *budget_of(struct vars_store *v, const char *key)
{
	static const char *const folders[] = { "policies/tenants/", "status/tenants/" };
	const char *below = key + strlen(v->store.prefix), *node = strrchr(key, '/');
	own_str name = { 0 };
	struct vars_budget *b;
	size_t len = 0;

	for (size_t i = 0; i < PK_ARRAY_LEN(folders); i++)
		if (strncmp(below, folders[i], strlen(folders[i])) == 0)
			len = strlen(folders[i]);
	if (!len)
		return NULL;
	pk_str_addn(&name, below, len + strcspn(below + len, "/"));
	pk_str_add(&name, *below == 's' ? node : "");
	if (name.failed)
		abort();
	HASH_FIND_STR(v->budgets, name.text, b);
	if (b)
		return b;
	b = pk_alloc(sizeof(*b));
	b->name = pk_str_take(&name);
	HASH_ADD_KEYPTR(hh, v->budgets, b->name, strlen(b->name), b);
	return b;
}

/* Returns whether what the node told tenants is kept: this node's, or where a call asks for it. */
static bool is_asked_for(struct vars_store *v, const char *node)
{
	const struct vars_call *c;

	if (strcmp(v->node, node) == 0)
		return true;
	LIST_FOREACH (c, &v->ask_told, asks_told) {
		v->compared++;
		if (strcmp(c->told_by, node) == 0)
			return true;
	}
	return false;
}

/*
 * Returns whether the key doesn't concern this node: it is what another node tells a tenant, or a
 * document's history.
 */
static bool is_anothers(struct vars_store *v, const char *key)
{
	const char *below = key + strlen(v->store.prefix), *last = strrchr(key, '/');

	if (strncmp(below, "history/", 8) == 0)
		return true;
	return strncmp(below, "status/tenants/", 15) == 0 && (!last || !is_asked_for(v, last + 1));
}

/*
 * Returns whether a list has room for a key. Each tenant has a budget of his own, so no name that
 * he makes costs another's. One document more than he may have is taken, by which he is seen to be
 * over. Where the operators' keys don't fit the list is no good.
 */
static bool has_room(struct vars_store *v, const char *key)
{
	struct vars_budget *b = budget_of(v, key);
	bool told = b && *b->name == 's';

	if (!b)
		return v->n_home++ < VARS_HOME_MAX;
	return b->n++ < (told ? VARS_TOLD_MAX : PK_TENANT_KEYS_MAX + 1);
}

static struct var *var_of(struct vars_store *v, const char *key)
{
	struct var *var;

	HASH_FIND_STR(v->vars, key, var);
	if (var)
		return var;
	var = pk_alloc(sizeof(*var));
	var->key = pk_strdup(key);
	HASH_ADD_KEYPTR(hh, v->vars, var->key, strlen(var->key), var);
	return var;
}

static void note(struct vars_store *v, struct var *var, const struct pk_var_name *name)
{
	v->went_back |= !var->gone && name->modified < var->modified;
	/* The index is noted once the list is whole. */
	if (var->gone || var->modified != name->modified) {
		var->touched = UINT64_MAX;
		v->changes++;
	}
	var->seen = true;
	var->gone = false;
	var->created = name->created;
	var->modified = name->modified;
	if (var->next < var->modified)
		var->next = var->modified;
}

void vars_name(void *arg, const struct pk_var_name *name)
{
	struct vars_store *v = arg;
	own_str key = { 0 }, namespace = { 0 };

	if (pk_vars_key(name->path, &key) < 0 || !key.text ||
	    strncmp(key.text, v->store.prefix, strlen(v->store.prefix)) != 0) {
		stray(v, name);
		return;
	}
	/* Keys in other namespaces than the key's own don't count: others may write there. */
	pk_vars_namespace(v->store.prefix, key.text, v->home, &namespace);
	if (strcmp(namespace.text, name->namespace) != 0) {
		stray(v, name);
		return;
	}
	if (is_anothers(v, key.text))
		return;
	if (has_room(v, key.text)) {
		note(v, var_of(v, key.text), name);
	} else if (strncmp(key.text + strlen(v->store.prefix), "status/", 7) == 0) {
		stray(v, name);
		count_unnamed(v, key.text);
	}
}

static void forget_budgets(struct vars_store *v)
{
	struct vars_budget *b, *next;

	HASH_ITER (hh, v->budgets, b, next) {
		HASH_DEL(v->budgets, b);
		free(b->name);
		free(b);
	}
}

void vars_names_begin(struct vars_store *v)
{
	v->n_found = v->n_home = 0;
	pk_str_reset(&v->found);
	unnamed_free(&v->found_unnamed);
	forget_budgets(v);
}

/* Notes the index at which a variable changed or went; of one that went nothing else is kept. */
static void settle(struct vars_store *v, struct var *var, uint64_t index, uint64_t now)
{
	struct vars_budget *b;

	if (!var->seen && !var->gone) {
		var->gone = true;
		var->gone_ms = now;
		var->touched = index;
		var->read = var->next = 0;
		free(PK_MOVE(var->value, NULL));
		free(PK_MOVE(var->holder, NULL));
	}
	if (var->touched == UINT64_MAX)
		var->touched = index;
	if (v->went_back) {
		var->read = 0;
		var->next = var->gone ? 0 : var->modified;
	}
	var->seen = false;
	b = var->gone ? budget_of(v, var->key) : NULL;
	if (b)
		b->gone++;
}

/*
 * Forgets variables that went long ago, and of one tenant's those that went first where there are
 * too many.
 */
static void forget(struct vars_store *v, uint64_t index, uint64_t now)
{
	struct var *var, *next;

	HASH_ITER (hh, v->vars, var, next) {
		struct vars_budget *b = var->gone ? budget_of(v, var->key) : NULL;
		bool early = b && b->gone > PK_TENANT_KEYS_MAX && var->touched < index;

		if (!var->gone || (!early && now - var->gone_ms <= FORGET_MS))
			continue;
		if (b)
			b->gone--;
		/*
		 * A question from before that can't be told that it went: it tries the token first.
		 */
		if (v->forgot < var->touched)
			v->forgot = var->touched;
		var_free(v, var);
	}
}

void vars_names_end(struct vars_store *v, uint64_t index, uint64_t now)
{
	v->went_back |= index < v->index;
	for (struct var *var = v->vars; var; var = var->hh.next)
		settle(v, var, index, now);
	forget(v, index, now);
	if (v->went_back) {
		v->restored++;
		log_warn("op=nomad index=%lu before=%lu err=\"its variables are older than what it "
			 "said before\"",
			 index, v->index);
	}
	v->went_back = false;
	v->changes++;
	pk_str_done(&v->strays);
	v->strays = PK_MOVE(v->found, (struct pk_str){ 0 });
	v->n_strays = v->n_found;
	unnamed_free(&v->unnamed);
	v->unnamed = PK_MOVE(v->found_unnamed, NULL);
	v->index = index;
}

void vars_names_broke_off(struct vars_store *v)
{
	v->changes++;
	for (struct var *var = v->vars; var; var = var->hh.next) {
		var->seen = false;
		if (var->touched == UINT64_MAX)
			var->touched = v->index + 1;
	}
}

void vars_names_free(struct vars_store *v)
{
	while (v->vars)
		var_free(v, v->vars);
	forget_budgets(v);
	unnamed_free(&v->unnamed);
	unnamed_free(&v->found_unnamed);
	pk_str_done(&v->strays);
	pk_str_done(&v->found);
}
