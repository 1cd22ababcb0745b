/* SPDX-License-Identifier: Apache-2.0 */
#include "shrink.h"

#include <stdlib.h>
#include <string.h>

#include "json.h"
#include "own.h"

static bool try_without(const struct g_shrink *s, bool *gone)
{
	if (*gone)
		return false;
	*gone = true;
	if (s->fails(s->world, s->seed))
		return true;
	*gone = false;
	return false;
}

/* Writes v but for its n-th part, counted over all depths. *n < 0 afterwards: there was one. */
static void write_without(struct pk_jw *w, const char *key, const struct pk_json *v, int *n)
{
	bool array = pk_json_type(v) == PK_JSON_ARRAY;

	if (!array && pk_json_type(v) != PK_JSON_OBJECT) {
		pk_jw_value(w, key, v);
		return;
	}
	pk_jw_open(w, key, array ? '[' : '{');
	for (const struct pk_json *m = pk_json_first(v); m; m = pk_json_next(m))
		if ((*n)-- != 0)
			write_without(w, array ? NULL : pk_json_key(m), m, n);
	pk_jw_close(w, array ? ']' : '}');
}

/* NULL: it has no n-th part. */
static char *without(const char *text, int n)
{
	own_json *json = NULL;
	struct pk_str out = { 0 };
	struct pk_jw w = { .out = &out };

	if (pk_json_parse("shrink", text, strlen(text), 0, &json, NULL) < 0)
		abort();
	write_without(&w, NULL, pk_json_root(json), &n);
	if (n >= 0) {
		pk_str_done(&out);
		return NULL;
	}
	return pk_str_take(&out);
}

/* Every member and element that the failure can do without goes; what becomes no document stays. */
static bool shrink_text(const struct g_shrink *s, char **text)
{
	bool smaller = false;
	int n = 0;

	for (;;) {
		char *kept = *text, *shorter = without(kept, n);

		if (!shorter)
			return smaller;
		*text = shorter;
		if (s->fails(s->world, s->seed)) {
			free(kept);
			smaller = true;
		} else {
			free(shorter);
			*text = kept;
			n++;
		}
	}
}

static bool shrink_flags(const struct g_shrink *s, struct g_rule *r)
{
	char *text = r->flags;

	if (!text || r->gone)
		return false;
	r->flags = NULL;
	if (s->fails(s->world, s->seed)) {
		free(text);
		return true;
	}
	r->flags = text;
	return false;
}

static bool shrink_rule(const struct g_shrink *s, struct g_rule *r)
{
	bool smaller = try_without(s, &r->gone);

	for (int section = 0; section < 4; section++)
		for (int i = 0; i < ENTRIES_MAX && !r->gone; i++) {
			char *text = r->entry[section][i];

			if (!text)
				continue;
			r->entry[section][i] = NULL;
			if (s->fails(s->world, s->seed)) {
				free(text);
				smaller = true;
			} else {
				r->entry[section][i] = text;
				smaller |= shrink_text(s, &r->entry[section][i]);
			}
		}
	if (!r->gone) {
		smaller |= shrink_flags(s, r);
		smaller |= shrink_text(s, &r->subject);
	}
	return smaller;
}

void g_world_shrink(const struct g_shrink *s)
{
	struct g_world *w = s->world;
	bool smaller = true;

	while (smaller) {
		smaller = false;
		for (size_t i = 0; i < w->n_docs; i++) {
			smaller |= try_without(s, &w->docs[i].gone);
			for (size_t j = 0; j < w->docs[i].n_rules && !w->docs[i].gone; j++)
				smaller |= shrink_rule(s, &w->docs[i].rules[j]);
		}
		for (size_t i = 0; i < w->n_endpoints; i++)
			smaller |= try_without(s, &w->endpoints[i].gone);
	}
}
