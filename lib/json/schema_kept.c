/* SPDX-License-Identifier: Apache-2.0 */
/* Reads and writes the usual members of a struct (schema.h). */
#include <string.h>

#include "own.h"
#include "schema.h"

static int read_bool(const struct pk_schema *s, const struct pk_json_doc *doc,
		     const struct pk_json *v, void *at, struct pk_err *err)
{
	(void)s, (void)doc, (void)err;
	*(bool *)at = pk_json_true(v);
	return 0;
}

static void write_bool(const struct pk_schema *s, struct pk_jw *w, const char *key, const void *at)
{
	(void)s;
	pk_jw_bool(w, key, *(const bool *)at);
}
const struct pk_kept pk_kept_bool = { read_bool, write_bool };

static int read_u32(const struct pk_schema *s, const struct pk_json_doc *doc,
		    const struct pk_json *v, void *at, struct pk_err *err)
{
	int64_t n = 0;
	int r = pk_json_int(v, s->lo, s->hi, &n);

	(void)doc, (void)err;
	*(uint32_t *)at = (uint32_t)n;
	return r;
}

static void write_u32(const struct pk_schema *s, struct pk_jw *w, const char *key, const void *at)
{
	(void)s;
	pk_jw_uint(w, key, *(const uint32_t *)at);
}
const struct pk_kept pk_kept_u32 = { read_u32, write_u32 };

static int read_i64(const struct pk_schema *s, const struct pk_json_doc *doc,
		    const struct pk_json *v, void *at, struct pk_err *err)
{
	(void)doc, (void)err;
	return pk_json_int(v, s->lo, s->hi, at);
}

static void write_i64(const struct pk_schema *s, struct pk_jw *w, const char *key, const void *at)
{
	(void)s;
	pk_jw_int(w, key, *(const int64_t *)at);
}
const struct pk_kept pk_kept_i64 = { read_i64, write_i64 };

/* The empty text is null where that is a value, and nothing where it is none. */
static int read_text(const struct pk_schema *s, const struct pk_json_doc *doc,
		     const struct pk_json *v, void *at, struct pk_err *err)
{
	(void)s, (void)doc, (void)err;
	strcpy(at, pk_json_string(v) ?: "");
	return 0;
}

static void write_text(const struct pk_schema *s, struct pk_jw *w, const char *key, const void *at)
{
	const char *text = at;

	if (*text || s->null_ok || !s->not_empty)
		pk_jw_string(w, key, s->null_ok && !*text ? NULL : text);
}
const struct pk_kept pk_kept_text = { read_text, write_text };

static int read_word(const struct pk_schema *s, const struct pk_json_doc *doc,
		     const struct pk_json *v, void *at, struct pk_err *err)
{
	int i = 0;

	(void)doc, (void)err;
	while (strcmp(s->format->words[i], pk_json_string(v)) != 0)
		i++;
	*(int *)at = i;
	return 0;
}

static void write_word(const struct pk_schema *s, struct pk_jw *w, const char *key, const void *at)
{
	pk_jw_string(w, key, s->format->words[*(const int *)at]);
}
const struct pk_kept pk_kept_word = { read_word, write_word };
