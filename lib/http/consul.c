/* SPDX-License-Identifier: Apache-2.0 */
#include "consul.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"
#include "json_stream.h"
#include "own.h"

void pk_kvs_done(struct pk_kvs *kvs)
{
	for (size_t i = 0; i < kvs->n; i++) {
		free(kvs->list[i].key);
		free(kvs->list[i].value);
	}
	free(kvs->list);
	*kvs = (struct pk_kvs){ 0 };
}

static int digit(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	if (c == '+')
		return 62;
	return c == '/' ? 63 : -1;
}

/* Decodes four characters into up to three bytes. Returns how many, -1 for what isn't base64. */
static int quad(const char *p, char out[3])
{
	int pad = (p[3] == '=') + (p[3] == '=' && p[2] == '=');
	unsigned int bits = 0;

	for (int i = 0; i < 4; i++) {
		int d = i < 4 - pad ? digit(p[i]) : 0;

		if (d < 0)
			return -1;
		bits = bits << 6 | (unsigned int)d;
	}
	if ((pad == 1 && bits & 0xff) || (pad == 2 && bits & 0xffff))
		return -1;
	out[0] = (char)(bits >> 16);
	out[1] = (char)(bits >> 8);
	out[2] = (char)bits;
	return 3 - pad;
}

int pk_base64_decode(const char *text, char **out, size_t *len)
{
	size_t n = strlen(text), at = 0;
	own_mem char *bytes = malloc(n / 4 * 3 + 4);

	if (!bytes)
		return -ENOMEM;
	if (n % 4 != 0)
		return -EINVAL;
	for (size_t i = 0; i < n; i += 4) {
		char three[3];
		int got = quad(text + i, three);

		if (got < 0 || (got < 3 && i + 4 != n))
			return -EINVAL;
		memcpy(bytes + at, three, 3);
		at += (size_t)got;
	}
	bytes[at] = '\0';
	*len = at;
	*out = PK_MOVE(bytes, NULL);
	return 0;
}

void pk_base64_add(struct pk_str *to, const char *bytes, size_t len)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				     "0123456789+/";

	for (size_t i = 0; i < len; i += 3) {
		size_t n = len - i < 3 ? len - i : 3;
		unsigned char three[3] = { 0 };
		char four[4];
		unsigned int bits;

		memcpy(three, bytes + i, n);
		bits = (unsigned int)three[0] << 16 | (unsigned int)three[1] << 8 | three[2];
		for (size_t k = 0; k < 4; k++)
			four[k] = k <= n ? digits[bits >> (18 - 6 * k) & 63] : '=';
		pk_str_addn(to, four, 4);
	}
}

enum node { KEYS, ENTRY, KEY, VALUE, MODIFIED, CREATED, SESSION };

static const struct pk_stream_node nodes[] = {
	[KEYS] = { KEYS, NULL, PK_STREAM_ARRAY },
	[ENTRY] = { KEYS, PK_STREAM_EACH, PK_STREAM_OBJECT },
	[KEY] = { ENTRY, "Key", PK_STREAM_TEXT },
	[VALUE] = { ENTRY, "Value", PK_STREAM_TEXT },
	[MODIFIED] = { ENTRY, "ModifyIndex", PK_STREAM_INT },
	[CREATED] = { ENTRY, "CreateIndex", PK_STREAM_INT },
	[SESSION] = { ENTRY, "Session", PK_STREAM_TEXT },
};

/* A value longer than this can hold no document (json.h), and isn't kept. */
#define VALUE_MAX (PK_JSON_MAX / 3 * 4 + 8)

static const struct pk_stream_table table = {
	.name = "Consul's keys", .nodes = nodes, .n = PK_ARRAY_LEN(nodes), .text_max = VALUE_MAX
};

struct pk_kv_reader {
	struct pk_stream *stream;
	char *prefix;
	struct pk_kv_budget budget;
	struct pk_kv now;
	struct pk_kvs out;
	size_t text; /* bytes of texts so far */
	struct pk_err err;
};

static int over(struct pk_kv_reader *r, const char *what, size_t most)
{
	pk_fail(&r->err, 0, "more than %zu %s below %.200s", most, what, r->prefix);
	return -E2BIG;
}

static int take_key(struct pk_kv_reader *r, const char *key)
{
	if (!key || strncmp(key, r->prefix, strlen(r->prefix)) != 0)
		return pk_fail(&r->err, 0, "Consul's keys: one that was not asked for");
	free(r->now.key);
	r->now.key = strdup(key);
	return r->now.key ? 0 : pk_fail(&r->err, ENOMEM, "Consul's keys");
}

static int take_value(struct pk_kv_reader *r, const struct pk_stream_event *e)
{
	free(PK_MOVE(r->now.value, NULL));
	r->now.unreadable = e->text ? NULL : "it is longer than a document may be";
	r->now.len = 0;
	if (e->text && pk_base64_decode(e->text, &r->now.value, &r->now.len) < 0)
		return pk_fail(&r->err, 0, "Consul's keys: a Value that is not base64");
	r->text += e->text ? r->now.len : e->len / 4 * 3;
	return r->text > r->budget.text ? over(r, "bytes of documents", r->budget.text) : 0;
}

/* Takes an entry; a null Value is an empty one. */
static int take_entry(struct pk_kv_reader *r)
{
	if (!r->now.key)
		return pk_fail(&r->err, 0, "Consul's keys: an entry without Key");
	r->now.value = r->now.value ?: strdup("");
	if (!r->now.value)
		return pk_fail(&r->err, ENOMEM, "Consul's keys");
	if (r->out.n == r->budget.keys)
		return over(r, "keys", r->budget.keys);
	if ((r->out.n & (r->out.n - 1)) == 0) {
		size_t room = r->out.n ? r->out.n * 2 : 1;
		struct pk_kv *list = realloc(r->out.list, room * sizeof(*list));

		if (!list)
			return pk_fail(&r->err, ENOMEM, "Consul's keys");
		r->out.list = list;
	}
	r->out.list[r->out.n++] = PK_MOVE(r->now, (struct pk_kv){ 0 });
	return 0;
}

uint64_t pk_kv_holder(const char *name)
{
	uint64_t hash[2];

	pk_hash128(name, strlen(name), hash);
	return hash[0] ?: 1;
}

static uint64_t index_of(const struct pk_stream_event *e)
{
	return e->number > 0 ? (uint64_t)e->number : 0;
}

static int take(struct pk_kv_reader *r, const struct pk_stream_event *e)
{
	switch (e->node) {
	case KEY:
		return take_key(r, e->text);
	case VALUE:
		return take_value(r, e);
	case SESSION:
		r->now.held = !e->text || *e->text;
		r->now.holder = r->now.held ? pk_kv_holder(e->text ?: "") : 0;
		return 0;
	case CREATED:
		r->now.created = index_of(e);
		return 0;
	default:
		r->now.modified = index_of(e);
		return 0;
	}
}

static int on_event(void *arg, const struct pk_stream_event *e)
{
	struct pk_kv_reader *r = arg;

	switch (e->what) {
	case PK_STREAM_VALUE:
		return take(r, e);
	case PK_STREAM_BAD:
		return pk_fail(&r->err, 0, "Consul's keys: %s: %s",
			       e->node == ENTRY ? "an entry" : nodes[e->node].key, e->why);
	case PK_STREAM_END:
		return e->node == ENTRY ? take_entry(r) : 0;
	default:
		return 0;
	}
}

struct pk_kv_reader *pk_kv_reader_new(const char *prefix, const struct pk_kv_budget *budget)
{
	struct pk_kv_reader *r = pk_alloc(sizeof(*r));

	r->prefix = pk_strdup(prefix);
	r->budget = *budget;
	r->stream = pk_stream_new(&table, on_event, r);
	return r;
}

void pk_kv_reader_free(struct pk_kv_reader *r)
{
	if (!r)
		return;
	pk_stream_free(r->stream);
	free(r->now.key);
	free(r->now.value);
	pk_kvs_done(&r->out);
	free(r->prefix);
	free(r);
}

int pk_kv_reader_feed(struct pk_kv_reader *r, const char *bytes, size_t n, struct pk_err *err)
{
	int result = pk_stream_feed(r->stream, bytes, n, &r->err);

	if (result < 0 && err)
		*err = r->err;
	return result;
}

static int by_key(const void *a, const void *b)
{
	return strcmp(((const struct pk_kv *)a)->key, ((const struct pk_kv *)b)->key);
}

void pk_kvs_sort(struct pk_kvs *kvs)
{
	if (kvs->n)
		qsort(kvs->list, kvs->n, sizeof(*kvs->list), by_key);
}

int pk_kv_reader_end(struct pk_kv_reader *r, struct pk_kvs *out, struct pk_err *err)
{
	int result = pk_stream_end(r->stream, &r->err);

	if (result < 0) {
		if (err)
			*err = r->err;
		return result;
	}
	pk_kvs_sort(&r->out);
	*out = PK_MOVE(r->out, (struct pk_kvs){ 0 });
	return 0;
}

const struct pk_kv *pk_kvs_find(const struct pk_kvs *kvs, const char *key)
{
	const struct pk_kv wanted = { .key = (char *)key };

	return kvs->n ? bsearch(&wanted, kvs->list, kvs->n, sizeof(wanted), by_key) : NULL;
}

void pk_set_digest(uint64_t set[2], const char *path, const uint64_t text[2])
{
	own_str all = { 0 };

	pk_str_addn(&all, set, 2 * sizeof(*set));
	pk_str_addn(&all, text, 2 * sizeof(*text));
	pk_str_add(&all, path);
	if (all.failed)
		abort();
	pk_hash128(all.text, all.len, set);
}

char *pk_consul_part(const char *name)
{
	char *part = pk_strdup(name);

	for (char *c = part; *c; c++)
		if (*c == '/')
			*c = '_';
	return part;
}
