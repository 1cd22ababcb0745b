/* SPDX-License-Identifier: Apache-2.0 */
/* Makes what this node's keys are to say, and which of them an earlier picketd wrote. */
#include <stdio.h>
#include <string.h>

#include "fs.h"
#include "json.h"
#include "local_endpoint.h"
#include "log.h"
#include "own.h"
#include "publish_private.h"
#include "share.h"
#include "sync.h"

#define TENANTS	 "tenants/"
#define EMPTY_MS 3600000

struct key *publish_key(struct pk_publish *p, const char *name)
{
	struct key *k;

	HASH_FIND_STR(p->keys, name, k);
	if (k)
		return k;
	k = pk_alloc(sizeof(*k));
	k->name = pk_strdup(name);
	HASH_ADD_KEYPTR(hh, p->keys, k->name, strlen(k->name), k);
	return k;
}

void publish_remember(struct pk_publish *p)
{
	own_str text = { 0 };
	struct pk_jw w = { .out = &text };

	pk_jw_open(&w, NULL, '{');
	pk_jw_string(&w, "session", p->session);
	pk_jw_uint(&w, "number", p->number);
	pk_jw_open(&w, "keys", '[');
	for (const struct key *k = p->keys; k; k = k->hh.next)
		pk_jw_string(&w, NULL, k->name);
	pk_jw_close(&w, ']');
	pk_jw_open(&w, "numbers", '['); /* of the keys, in their order */
	for (const struct key *k = p->keys; k; k = k->hh.next)
		pk_jw_uint(&w, NULL, k->number);
	pk_jw_close(&w, ']');
	pk_jw_close(&w, '}');
	pk_writer_file(p->args.writer, p->path, text.text, text.len);
}

bool publish_is_report(const char *name)
{
	return strncmp(name, PUBLISH_REPORTS, strlen(PUBLISH_REPORTS)) == 0;
}

/* The node's word isn't awaited: that it is written shows that the session lives and is ours. */
static void recall_key(struct pk_publish *p, const char *name, const struct pk_json *number)
{
	struct key *k;
	int64_t n;

	if (p->args.reports && publish_is_report(name))
		return;
	k = publish_key(p, name);
	if (pk_json_int(number, 0, PK_WORD_NUMBER_MAX, &n) == 0)
		k->number = (uint64_t)n;
	k->known = true;
	k->recalled = !p->args.alone && pk_share_key_is_of(name, p->node);
}

/* Recalls the keys. Where the release before wrote the file their numbers lack. */
static void recall_keys(struct pk_publish *p, const struct pk_json *root)
{
	const struct pk_json *keys = pk_json_get(root, "keys");
	const struct pk_json *numbers = pk_json_get(root, "numbers");
	const struct pk_json *number = numbers ? pk_json_first(numbers) : NULL;

	for (const struct pk_json *v = keys ? pk_json_first(keys) : NULL; v; v = pk_json_next(v)) {
		if (pk_json_string(v))
			recall_key(p, pk_json_string(v), number);
		number = number ? pk_json_next(number) : NULL;
	}
}

void publish_recall(struct pk_publish *p)
{
	own_mem char *text = NULL;
	own_json *doc = NULL;
	const char *session;
	int64_t number;
	size_t len;

	if (pk_fs_read_own(p->path, PK_JSON_MAX, &text, &len, NULL) < 0 ||
	    pk_json_parse(p->path, text, len, PK_JSON_NEWER, &doc, NULL) < 0)
		return;
	session = pk_json_string(pk_json_get(pk_json_root(doc), "session"));
	if (session)
		snprintf(p->session, sizeof(p->session), "%s", session);
	if (pk_json_int(pk_json_get(pk_json_root(doc), "number"), 0, PK_WORD_NUMBER_MAX, &number) ==
	    0)
		p->number = (uint64_t)number;
	recall_keys(p, pk_json_root(doc));
}

/* Has a key written where it says something else than before. */
static void want(struct key *k, const char *body)
{
	k->seen = true;
	k->ends_ms = 0;
	if (k->body && strcmp(k->body, body) == 0)
		return;
	free(k->body);
	free(k->text);
	k->body = pk_strdup(body);
	k->text = NULL;
	k->written = false;
}

/* Makes the node's word: its uplinks' addresses, and where its endpoints' addresses lie. */
static void want_word(struct pk_publish *p)
{
	const struct pk_settings *s = pk_model_get_settings(p->args.model);
	const struct pk_bpf *bpf = pk_sync_bpf(p->args.sync);
	PK_OWN(pk_node_word_done) struct pk_node_word word = { 0 };
	own_str name = { 0 }, body = { 0 };

	if (!bpf)
		return; /* the uplinks aren't known yet */
	word.blocks = pk_alloc((s->n_pools + 1) * sizeof(*word.blocks));
	for (size_t i = 0; i < s->n_pools && i < PK_NODE_BLOCKS; i++) {
		word.blocks[i] = s->pools[i];
		pk_prefix_mask(&word.blocks[i]);
		word.n_blocks++;
	}
	for (size_t i = 0; i < PK_UPLINKS; i++) {
		const union pk_addr *own[] = { &bpf->node.uplink[i].ipv4,
					       &bpf->node.uplink[i].ipv6 };

		for (size_t k = 0; k < PK_ARRAY_LEN(own); k++)
			if (!pk_addr_is_zero(own[k]))
				word.addresses[word.n_addresses++] = *own[k];
	}
	pk_str_addf(&name, "nodes/%s", p->node);
	pk_node_word_encode(&word, &body);
	want(publish_key(p, name.text), body.text);
}

struct tenant_share {
	char *name;
	struct pk_share share;
	UT_hash_handle hh;
};

static struct tenant_share *share_of(struct tenant_share **all, const char *name)
{
	struct tenant_share *t;

	HASH_FIND_STR(*all, name, t);
	if (t)
		return t;
	t = pk_alloc(sizeof(*t));
	t->name = pk_strdup(name);
	HASH_ADD_KEYPTR(hh, *all, t->name, strlen(t->name), t);
	return t;
}

/*
 * Adds an endpoint to its tenant's share. One without a known namespace is in quarantine, which
 * concerns this node alone.
 */
static void add_endpoint(struct pk_publish *p, struct tenant_share **all,
			 const struct pk_local_endpoint *m)
{
	struct pk_world_endpoint *ep;
	struct tenant_share *t;

	if (!m->open || !m->epoch_matches || pk_local_endpoint_quarantined(m))
		return;
	ep = pk_local_endpoint_world(m, pk_model_get_settings(p->args.model));
	t = ep->labels->tenant_name ? share_of(all, ep->labels->tenant_name) : NULL;
	if (t && t->share.n < PK_SHARE_ENDPOINTS)
		pk_share_add(&t->share, ep, (uint64_t)m->added);
	else
		pk_world_endpoint_free(ep);
}

/*
 * Wants a part with as many endpoints as fit the store's value. The rest isn't published: other
 * nodes deny them.
 */
static void want_part(struct pk_publish *p, struct key *k, struct pk_share *share)
{
	own_str body = { 0 };
	size_t n_left = pk_share_encode_in(share, p->args.store->ops->text_max, &body);

	if (!k->n_left && n_left)
		log_warn("op=cluster err=\"%s%s has no room for %zu endpoints, which other nodes "
			 "don't know\"",
			 p->prefix, k->name, n_left);
	k->n_left = n_left;
	want(k, body.text);
}

/*
 * Returns the number of keys for the share: as many as it needs, unless their names would be too
 * long for the store.
 */
static size_t parts_for(const struct pk_publish *p, const struct key *first,
			const struct pk_share *share, size_t parts)
{
	const struct pk_store *store = p->args.store;
	size_t n = pk_share_parts(share, store->ops->text_max, parts);

	for (; n > 1; n /= 2) {
		own_str key = { 0 };

		pk_str_add(&key, p->prefix);
		pk_share_key_of_part(first->name, n - 1, &key);
		if (pk_store_fits(store, key.text, NULL, NULL) == 0)
			break;
	}
	return n;
}

void publish_want_share(struct pk_publish *p, const char *tenant_name, struct pk_share *share)
{
	struct pk_share parts[PK_SHARE_PARTS] = { 0 };
	own_str name = { 0 };
	struct key *first;
	size_t before;

	pk_share_key_write(tenant_name, p->node, 0, &name);
	first = publish_key(p, name.text);
	before = first->parts ?: 1;
	first->parts = parts_for(p, first, share, before);
	pk_share_split(share, parts, first->parts);
	for (size_t i = 0; i < first->parts; i++) {
		struct key *k;

		pk_str_reset(&name);
		pk_share_key_of_part(first->name, i, &name);
		k = publish_key(p, name.text);
		want_part(p, k, &parts[i]);
		if (i >= before)
			k->known = false;
		pk_share_done(&parts[i]);
	}
}

static void want_shares(struct pk_publish *p)
{
	struct tenant_share *all = NULL, *t, *next;
	const struct pk_local_endpoint *m;

	for (size_t i = 0; (m = pk_model_at(p->args.model, i)); i++)
		add_endpoint(p, &all, m);
	HASH_ITER (hh, all, t, next) {
		publish_want_share(p, t->name, &t->share);
		HASH_DEL(all, t);
		pk_share_done(&t->share);
		free(t->name);
		free(t);
	}
}

static void want_report(struct pk_publish *p)
{
	own_str name = { 0 };

	pk_str_addf(&name, PUBLISH_REPORTS "%s", p->node);
	if (p->report)
		want(publish_key(p, name.text), p->report);
}

void publish_want_all(struct pk_publish *p)
{
	if (!p->args.alone) {
		want_word(p);
		want_shares(p);
	}
	want_report(p);
}

/*
 * Wants the tenant's key to say that this node has no endpoint of it, until ends_ms (loop time);
 * then the key goes.
 */
static void want_none(struct key *k, uint64_t ends_ms)
{
	struct pk_share none = { 0 };
	own_str body = { 0 };

	pk_share_encode(&none, &body);
	want(k, body.text);
	k->n_left = 0;
	k->ends_ms = ends_ms;
}

uint64_t publish_want_ends(struct pk_publish *p, uint64_t now)
{
	uint64_t wait = 0;

	for (struct key *k = p->keys; k; k = k->hh.next) {
		bool is_share = !p->args.alone && strncmp(k->name, TENANTS, strlen(TENANTS)) == 0;

		if (!k->seen && is_share && !k->ends_ms)
			want_none(k, now + EMPTY_MS);
		else if (!k->seen && k->body && now >= k->ends_ms) {
			free(PK_MOVE(k->body, NULL));
			free(PK_MOVE(k->text, NULL));
			k->written = false;
		}
		if (k->body && k->ends_ms > now && (!wait || k->ends_ms - now < wait))
			wait = k->ends_ms - now;
		k->seen = false;
	}
	return wait;
}
