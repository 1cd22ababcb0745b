/* SPDX-License-Identifier: Apache-2.0 */
#include "flow_who.h"

#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "flow.h"
#include "json.h"
#include "own.h"

#define NAME_MAX_CUT 32 /* bytes of each name in the shortest form */

struct pk_flow_who {
	struct pk_flow_who_set *of;
	unsigned int refs;
	UT_hash_handle hh; /* in the set, by text */
	char text[];
};

struct pk_flow_who_set {
	struct pk_flow_who *list;
};

struct pk_flow_who_set *pk_flow_who_set_new(void)
{
	return pk_alloc(sizeof(struct pk_flow_who_set));
}

void pk_flow_who_set_free(struct pk_flow_who_set *held)
{
	free(held);
}

static struct pk_flow_who *hold(struct pk_flow_who_set *held, const char *text, size_t len)
{
	struct pk_flow_who *who;

	HASH_FIND(hh, held->list, text, len, who);
	if (!who) {
		who = pk_alloc(sizeof(*who) + len + 1);
		who->of = held;
		memcpy(who->text, text, len);
		HASH_ADD(hh, held->list, text, len, who);
	}
	who->refs++;
	return who;
}

void pk_flow_who_drop(struct pk_flow_who *who)
{
	if (!who || --who->refs)
		return;
	HASH_DEL(who->of->list, who);
	free(who);
}

const char *pk_flow_who_text(const struct pk_flow_who *who)
{
	return who->text;
}

/*
 * Returns a copy of at most `most` bytes of text, cut between characters; NULL for NULL. The caller
 * frees it.
 */
static char *cut(const char *text, size_t most)
{
	size_t n = text ? strlen(text) : 0;

	if (n > most)
		for (n = most; n > 0 && ((unsigned char)text[n] & 0xc0) == 0x80; n--)
			;
	return text ? pk_strndup(text, n) : NULL;
}

/* What an endpoint, of this or another node, is called. */
struct called {
	const char *tenant_name, *job, *group, *container_id;
};

static void write_names(struct pk_jw *w, const struct called *called, size_t most)
{
	own_mem char *tenant_name = cut(called->tenant_name, most);
	own_mem char *job = cut(called->job, most);
	own_mem char *group = cut(called->group, most);
	own_str name = { 0 };

	pk_str_addf(&name, "%s/%s/%s", tenant_name ?: "?", job ?: "?", group ?: "?");
	pk_jw_string(w, "namespace", tenant_name);
	pk_jw_string(w, "job", job);
	pk_jw_string(w, "group", group);
	pk_jw_string(w, "alloc", called->container_id);
	pk_jw_string(w, "name", name.text);
}

/* Writes one of the forms, from the longest to the shortest; returns false where it is too long. */
static bool write_form(struct pk_str *out, const struct called *called,
		       const struct pk_world_endpoint *ep, size_t names)
{
	struct pk_jw w = { .out = out };

	pk_str_reset(out);
	out->cap = PK_FLOW_WHO_MAX;
	write_names(&w, called, names);
	pk_flow_labels(&w, ep);
	if (!ep)
		pk_jw_bool(&w, "cut", true);
	return !out->failed;
}

static struct pk_flow_who *hold_called(struct pk_flow_who_set *held, const struct called *called,
				       const struct pk_world_endpoint *ep)
{
	own_str text = { 0 };

	if (!write_form(&text, called, ep, SIZE_MAX) &&
	    !write_form(&text, called, NULL, SIZE_MAX) &&
	    !write_form(&text, called, NULL, NAME_MAX_CUT))
		abort(); /* the shortest form always fits */
	return hold(held, text.text, text.len);
}

struct pk_flow_who *pk_flow_who_endpoint(struct pk_flow_who_set *held,
					 const struct pk_local_endpoint *local,
					 const struct pk_world_endpoint *ep)
{
	const struct called called = { .tenant_name = pk_local_endpoint_namespace(local),
				       .job = pk_local_endpoint_job(local),
				       .group = pk_local_endpoint_group(local),
				       .container_id = local->container_id };

	return hold_called(held, &called, ep);
}

static const char *value_of(const struct pk_world_endpoint *ep, const char *key)
{
	const struct pk_label *label = pk_label_set_get(ep->labels, key);

	return label ? label->value : NULL;
}

struct pk_flow_who *pk_flow_who_remote(struct pk_flow_who_set *held,
				       const struct pk_remote_endpoint *remote)
{
	const char *id = strchr(remote->key, '/') + 1;
	own_mem char *container_id = strndup(id, strcspn(id, "@"));
	const struct called called = { .tenant_name = remote->ep->labels->tenant_name,
				       .job = value_of(remote->ep, "nomad:job"),
				       .group = value_of(remote->ep, "nomad:group"),
				       .container_id = container_id };

	if (!container_id)
		abort();
	return hold_called(held, &called, remote->ep);
}

struct pk_flow_who *pk_flow_who_stranger(struct pk_flow_who_set *held, const char *name)
{
	own_str text = { 0 };
	struct pk_jw w = { .out = &text };

	pk_jw_string(&w, "name", name);
	pk_flow_labels(&w, NULL);
	return hold(held, text.text, text.len);
}
