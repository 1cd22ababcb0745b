/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Says when a question is to be answered, and which value is to be read for it next. Values are
 * read one by one; each variable is looked at once for all of them.
 */
#include <string.h>

#include "store_vars_private.h"

bool vars_is_below(const struct vars_call *c, const char *key)
{
	return strncmp(key, c->prefix, strlen(c->prefix)) == 0;
}

static bool is_changed(const struct vars_call *c, const struct var *var)
{
	if (var->touched != UINT64_MAX && var->touched > c->index)
		return true;
	return c->wait && var->stirred > c->wait->told;
}

/* Finds what changed since the call last looked. */
static void look(struct vars_call *c)
{
	struct vars_store *v = c->v;

	if (c->look.changes == v->changes)
		return;
	c->look = (struct vars_look){ .changes = v->changes, .next = v->vars };
	for (const struct var *var = v->vars; var; var = var->hh.next) {
		bool changed;

		v->looked++;
		if (!vars_is_below(c, var->key))
			continue;
		changed = c->index && is_changed(c, var);
		c->look.due |= changed;
		c->look.gone |= changed && var->gone;
		c->look.n += !var->gone;
	}
}

bool vars_is_due(struct vars_call *c, bool *gone)
{
	const struct vars_store *v = c->v;
	bool due = !c->index || c->wait->restored != v->restored;

	*gone = due || v->forgot > c->index;
	if (v->answered < c->number || !v->answered)
		return false;
	look(c);
	due |= c->look.due;
	*gone |= c->look.gone;
	if (!due && pk_loop_now(v->loop) >= c->deadline_ms)
		due = *gone = true;
	return due;
}

struct var *vars_unread(struct vars_call *c)
{
	struct vars_look *l = &c->look;

	look(c);
	for (; l->next; l->next = l->next->hh.next) {
		const struct var *var = l->next;

		c->v->looked++;
		if (var->gone || !vars_is_below(c, var->key))
			continue;
		if (var->read < var->modified)
			return l->next;
		l->text += var->value ? strlen(var->value) : 0;
	}
	return NULL;
}

bool vars_is_over(struct vars_call *c, struct pk_str *why)
{
	look(c);
	if (c->look.n > c->budget.keys)
		pk_str_addf(why, "more than %zu keys below %.200s", c->budget.keys, c->prefix);
	else if (c->look.text > c->budget.text)
		pk_str_addf(why, "more than %zu bytes of documents below %.200s", c->budget.text,
			    c->prefix);
	return why->len;
}
