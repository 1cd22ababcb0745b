/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json_private.h"

static void new_line(struct pk_jw *w)
{
	if (!w->indent)
		return;
	pk_str_add(w->out, "\n");
	for (int i = 0; i < w->indent * w->depth; i++)
		pk_str_add(w->out, " ");
}

static void put_string(struct pk_jw *w, const char *text)
{
	pk_str_add(w->out, "\"");
	for (const char *p = text; *p;) {
		size_t n = pk_utf8_len(p);

		if (n == 0)
			pk_str_add(w->out, "\\ufffd");
		else if (*p == '"' || *p == '\\')
			pk_str_addf(w->out, "\\%c", *p);
		else if (*p == '\n')
			pk_str_add(w->out, "\\n");
		else if (*p == '\t')
			pk_str_add(w->out, "\\t");
		else if ((unsigned char)*p < 0x20 || *p == 0x7f)
			pk_str_addf(w->out, "\\u%04x", *p);
		else
			pk_str_addn(w->out, p, n);
		p += n ? n : 1;
	}
	pk_str_add(w->out, "\"");
}

/* Writes whatever stands before a value: comma, line, key. */
static void begin(struct pk_jw *w, const char *key)
{
	if (w->comma)
		pk_str_add(w->out, ",");
	if (w->depth)
		new_line(w);
	w->comma = true;
	if (!key)
		return;
	put_string(w, key);
	pk_str_add(w->out, w->indent ? ": " : ":");
}

void pk_jw_open(struct pk_jw *w, const char *key, char bracket)
{
	begin(w, key);
	pk_str_addn(w->out, &bracket, 1);
	w->depth++;
	w->comma = false;
}

void pk_jw_close(struct pk_jw *w, char bracket)
{
	w->depth--;
	if (w->comma)
		new_line(w);
	pk_str_addn(w->out, &bracket, 1);
	w->comma = true;
}

void pk_jw_string(struct pk_jw *w, const char *key, const char *value)
{
	begin(w, key);
	if (value)
		put_string(w, value);
	else
		pk_str_add(w->out, "null");
}

void pk_jw_int(struct pk_jw *w, const char *key, int64_t value)
{
	begin(w, key);
	pk_str_addf(w->out, "%" PRId64, value);
}

void pk_jw_uint(struct pk_jw *w, const char *key, uint64_t value)
{
	begin(w, key);
	pk_str_addf(w->out, "%" PRIu64, value);
}

void pk_jw_double(struct pk_jw *w, const char *key, double value)
{
	char text[40];

	begin(w, key);
	if (!isfinite(value)) {
		pk_str_add(w->out, "null");
		return;
	}
	for (int digits = 15; digits <= 17; digits++) {
		snprintf(text, sizeof(text), "%.*g", digits, value);
		if (strtod(text, NULL) == value)
			break;
	}
	for (char *p = text; *p; p++)
		if (*p == ',') /* a locale's decimal comma */
			*p = '.';
	pk_str_add(w->out, text);
}

void pk_jw_bool(struct pk_jw *w, const char *key, bool value)
{
	begin(w, key);
	pk_str_add(w->out, value ? "true" : "false");
}

void pk_jw_null(struct pk_jw *w, const char *key)
{
	begin(w, key);
	pk_str_add(w->out, "null");
}

static void put_number(struct pk_jw *w, const char *key, double value)
{
	if (value == floor(value) && fabs(value) < 0x1p53)
		pk_jw_int(w, key, (int64_t)value);
	else
		pk_jw_double(w, key, value);
}

void pk_jw_value(struct pk_jw *w, const char *key, const struct pk_json *v)
{
	enum pk_json_type type = pk_json_type(v);
	bool object = type == PK_JSON_OBJECT;

	switch (type) {
	case PK_JSON_NULL:
		pk_jw_null(w, key);
		return;
	case PK_JSON_BOOL:
		pk_jw_bool(w, key, pk_json_true(v));
		return;
	case PK_JSON_NUMBER:
		put_number(w, key, pk_json_number(v));
		return;
	case PK_JSON_STRING:
		pk_jw_string(w, key, pk_json_string(v));
		return;
	default:
		break;
	}
	pk_jw_open(w, key, object ? '{' : '[');
	for (const struct pk_json *m = pk_json_first(v); m; m = pk_json_next(m))
		pk_jw_value(w, pk_json_key(m), m);
	pk_jw_close(w, object ? '}' : ']');
}
