/* SPDX-License-Identifier: GPL-2.0-only */
#include "consul.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"
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
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const char *p = c ? strchr(digits, c) : NULL;

	return p ? (int)(p - digits) : -1;
}

/* Four characters -> up to three bytes; returns how many, -1 for what isn't base64. */
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

static int decode(const struct pk_json_doc *doc, const struct pk_json *v, struct pk_kv *kv,
		  struct pk_err *err)
{
	const struct pk_json *value;
	const char *key = NULL, *text;

	if (pk_json_type(v) != PK_JSON_OBJECT)
		return pk_json_fail(err, doc, v, false, "not an entry");
	key = pk_json_string(pk_json_get(v, "Key"));
	value = pk_json_get(v, "Value");
	if (!key || !value)
		return pk_json_fail(err, doc, v, false, "an entry without Key or Value");
	text = pk_json_string(value);
	if (!text && pk_json_type(value) != PK_JSON_NULL)
		return pk_json_fail(err, doc, value, false, "a Value that is no text");
	if (pk_base64_decode(text ?: "", &kv->value, &kv->len) < 0)
		return pk_json_fail(err, doc, value, false, "a Value that is not base64");
	kv->key = strdup(key);
	return kv->key ? 0 : pk_fail(err, ENOMEM, "Consul's keys");
}

static int by_key(const void *a, const void *b)
{
	return strcmp(((const struct pk_kv *)a)->key, ((const struct pk_kv *)b)->key);
}

const struct pk_kv *pk_kvs_find(const struct pk_kvs *kvs, const char *key)
{
	const struct pk_kv wanted = { .key = (char *)key };

	return kvs->n ? bsearch(&wanted, kvs->list, kvs->n, sizeof(wanted), by_key) : NULL;
}

int pk_kvs_decode(const char *body, size_t len, struct pk_kvs *out, struct pk_err *err)
{
	own_json *doc = NULL;
	const struct pk_json *root;
	int r = pk_json_parse("Consul's keys", body, len, PK_JSON_RELAXED, &doc, err);

	*out = (struct pk_kvs){ 0 };
	if (r < 0)
		return r;
	root = pk_json_root(doc);
	if (pk_json_type(root) != PK_JSON_ARRAY)
		return pk_fail(err, 0, "Consul's keys: not an array");
	out->list = calloc(pk_json_count(root) + 1, sizeof(*out->list));
	if (!out->list)
		return pk_fail(err, ENOMEM, "Consul's keys");
	for (const struct pk_json *v = pk_json_first(root); v && r == 0; v = pk_json_next(v))
		r = decode(doc, v, &out->list[out->n++], err);
	if (r < 0)
		pk_kvs_done(out);
	else
		qsort(out->list, out->n, sizeof(*out->list), by_key);
	return r;
}
