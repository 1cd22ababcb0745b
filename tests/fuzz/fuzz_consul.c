/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Consul's keys: all or nothing, within the budget, and none but those below the prefix. The first
 * byte chooses the pieces they come in, which change nothing.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "consul.h"
#include "own.h"

#define KEYS_MAX 3
#define TEXT_MAX 64

static void check(bool ok)
{
	if (!ok)
		abort();
}

static int read_keys(const char *text, size_t n, size_t piece, struct pk_kvs *out,
		     struct pk_err *err)
{
	static const struct pk_kv_budget budget = { KEYS_MAX, TEXT_MAX };
	struct pk_kv_reader *reader = pk_kv_reader_new("p/", &budget);
	int r = 0;

	*out = (struct pk_kvs){ 0 };
	for (size_t at = 0; at < n && r == 0; at += piece)
		r = pk_kv_reader_feed(reader, text + at, n - at < piece ? n - at : piece, err);
	if (r == 0)
		r = pk_kv_reader_end(reader, out, err);
	pk_kv_reader_free(reader);
	return r;
}

static void check_key(const struct pk_kv *kv)
{
	check(kv->key && kv->value && (kv->unreadable || kv->value[kv->len] == '\0'));
	check(strncmp(kv->key, "p/", 2) == 0);
}

static void check_same(const struct pk_kvs *a, const struct pk_kvs *b)
{
	check(a->n == b->n);
	for (size_t i = 0; i < a->n; i++) {
		check(strcmp(a->list[i].key, b->list[i].key) == 0);
		check(a->list[i].len == b->list[i].len);
		check(strcmp(a->list[i].value, b->list[i].value) == 0);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct pk_err err = { 0 };
	struct pk_kvs kvs, pieces;
	size_t text = 0;
	int r;

	if (size < 1)
		return 0;
	r = read_keys((const char *)data + 1, size - 1, size, &kvs, &err);
	check(read_keys((const char *)data + 1, size - 1, data[0] + 1, &pieces, NULL) == r);
	if (r == 0)
		check_same(&kvs, &pieces);
	else
		check(kvs.n == 0 && *err.text != '\0');
	for (size_t i = 0; i < kvs.n; i++) {
		check_key(&kvs.list[i]);
		text += kvs.list[i].len;
	}
	check(kvs.n <= KEYS_MAX && text <= TEXT_MAX);
	pk_kvs_done(&kvs);
	pk_kvs_done(&pieces);
	return 0;
}
