/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The strict scan. The first byte chooses the flags, the rest is the text. What is accepted must
 * come out of the writer as a text that is accepted again, strictly, and says the same; every
 * value must have a place inside the text; a refusal must say something.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"
#include "own.h"

static void check(bool ok)
{
	if (!ok)
		abort();
}

static void check_places(const struct pk_json_doc *doc, const struct pk_json *v, int *left)
{
	struct pk_json_where where;

	if ((*left)-- <= 0)
		return;
	pk_json_where(doc, v, true, &where);
	check(where.line >= 1 && where.col >= 1 && where.width >= 1 && where.path[0] == '.');
	check(pk_json_line(doc, v) >= where.line);
	for (const struct pk_json *m = pk_json_first(v); m; m = pk_json_next(m))
		check_places(doc, m, left);
}

static void write_value(const struct pk_json *v, struct pk_str *out, int indent)
{
	struct pk_jw w = { .out = out, .indent = indent };

	pk_jw_value(&w, NULL, v);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	own_json *doc = NULL, *again = NULL;
	own_str first = { 0 }, second = { 0 };
	struct pk_err err = { 0 };
	unsigned int flags;
	int left = 50;

	if (size == 0)
		return 0;
	flags = data[0] & (PK_JSON_COMMENTS | PK_JSON_RELAXED);
	if (pk_json_parse("fuzz", (const char *)data + 1, size - 1, flags, &doc, &err) < 0) {
		check(strncmp(err.text, "fuzz:", 5) == 0 && err.code == PK_CODE_DECODE);
		return 0;
	}
	check_places(doc, pk_json_root(doc), &left);
	write_value(pk_json_root(doc), &first, 2);
	/* Numbers that a relaxed text may have and a strict one may not; keys that became equal. */
	if (pk_json_parse("again", first.text, first.len, flags, &again, &err) < 0) {
		check(flags & PK_JSON_RELAXED);
		return 0;
	}
	write_value(pk_json_root(again), &second, 2);
	check(strcmp(first.text, second.text) == 0);
	return 0;
}
