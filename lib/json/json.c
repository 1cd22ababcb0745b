/* SPDX-License-Identifier: Apache-2.0 */
/*
 * struct pk_json is cJSON's node. Of cJSON the parser is used and the tree; its fields that
 * lose something (valueint, the search without case) are not: valueint holds the number of the
 * value in document order, by which its line and column are known.
 */
#include "json.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <cjson/cJSON.h>

#include "json_private.h"
#include "own.h"

struct pk_json_doc {
	struct pk_json_text t;
	cJSON *root;
};

static const cJSON *node(const struct pk_json *v)
{
	return (const cJSON *)v;
}

static const struct pk_json *value(const cJSON *n)
{
	return (const struct pk_json *)n;
}

void pk_json_free(struct pk_json_doc *doc)
{
	if (!doc)
		return;
	cJSON_Delete(doc->root);
	if (doc->t.original != doc->t.bytes)
		free(doc->t.original);
	free(doc->t.bytes);
	free(doc->t.name);
	free(doc->t.spots);
	free(doc->t.lines);
	free(doc);
}

static char *copy_text(const char *text, size_t len)
{
	char *copy = malloc(len + 1);

	if (!copy)
		return NULL;
	if (len)
		memcpy(copy, text, len);
	copy[len] = '\0';
	return copy;
}

static int find_lines(struct pk_json_text *t)
{
	const char *p = t->bytes, *end = t->bytes + t->len;
	size_t n = 1;

	for (const char *q = p; (q = memchr(q, '\n', (size_t)(end - q))); q++)
		n++;
	t->lines = calloc(n, sizeof(*t->lines));
	if (!t->lines)
		return -ENOMEM;
	t->n_lines = 1;
	while ((p = memchr(p, '\n', (size_t)(end - p))))
		t->lines[t->n_lines++] = (uint32_t)(++p - t->bytes);
	return 0;
}

/* Document order, as the scan saw it; the depth is bounded by the scan. */
static void number_values(cJSON *n, int *next)
{
	for (; n; n = n->next) {
		n->valueint = (*next)++;
		number_values(n->child, next);
	}
}

__attribute__((format(printf, 2, 3))) static int give_up(struct pk_json_fault *fault,
							 const char *fmt, ...)
{
	va_list ap;

	fault->where = (struct pk_json_where){ .line = 1, .col = 1, .width = 1, .path = "." };
	fault->where.source_col = 1;
	va_start(ap, fmt);
	vsnprintf(fault->what, sizeof(fault->what), fmt, ap);
	va_end(ap);
	return -EINVAL;
}

static int load(struct pk_json_doc *doc, const char *text, size_t len, struct pk_json_fault *fault)
{
	struct pk_json_text *t = &doc->t;
	size_t max = t->flags & PK_JSON_RELAXED ? PK_JSON_RELAXED_MAX : PK_JSON_MAX;
	int next = 0, r;

	if (len > max)
		return give_up(fault, "%zu bytes, more than %zu", len, max);
	t->len = len;
	t->bytes = copy_text(text, len);
	t->original = t->bytes;
	if (t->bytes && t->flags & PK_JSON_COMMENTS)
		t->original = copy_text(text, len);
	if (!t->bytes || !t->original || find_lines(t) < 0)
		return give_up(fault, "not enough memory");
	r = pk_json_scan(t, fault);
	if (r < 0)
		return r;
	doc->root = cJSON_ParseWithLength(t->bytes, len + 1);
	if (!doc->root)
		return give_up(fault, "the parser gave up: not enough memory?");
	number_values(doc->root, &next);
	if ((size_t)next != t->n_spots)
		return give_up(fault, "scan and parser disagree");
	return 0;
}

int pk_json_parse_fault(const char *name, const char *text, size_t len, unsigned int flags,
			struct pk_json_doc **out, struct pk_json_fault *fault)
{
	own_json *doc = pk_alloc(sizeof(*doc));
	int r;

	memset(fault, 0, sizeof(*fault));
	doc->t.name = copy_text(name, strlen(name));
	if (!doc->t.name)
		return give_up(fault, "not enough memory");
	doc->t.flags = flags;
	r = load(doc, text, len, fault);
	if (r < 0)
		return r;
	*out = PK_MOVE(doc, NULL);
	return 0;
}

int pk_json_parse(const char *name, const char *text, size_t len, unsigned int flags,
		  struct pk_json_doc **doc, struct pk_err *err)
{
	struct pk_json_fault fault;
	int r = pk_json_parse_fault(name, text, len, flags, doc, &fault);

	if (r == 0)
		return 0;
	pk_code(err,
		pk_fail(err, 0, "%s:%d:%d: error: %s: %s", name, fault.where.line, fault.where.col,
			fault.where.path, fault.what),
		PK_CODE_DECODE);
	return fault.fix[0] ? pk_fix(err, r, "%s", fault.fix) : r;
}

const struct pk_json *pk_json_root(const struct pk_json_doc *doc)
{
	return value(doc->root);
}

enum pk_json_type pk_json_type(const struct pk_json *v)
{
	switch (v ? node(v)->type & 0xff : cJSON_NULL) {
	case cJSON_True:
	case cJSON_False:
		return PK_JSON_BOOL;
	case cJSON_Number:
		return PK_JSON_NUMBER;
	case cJSON_String:
		return PK_JSON_STRING;
	case cJSON_Array:
		return PK_JSON_ARRAY;
	case cJSON_Object:
		return PK_JSON_OBJECT;
	default:
		return PK_JSON_NULL;
	}
}

const char *pk_json_type_name(enum pk_json_type type)
{
	static const char *const names[] = {
		[PK_JSON_NULL] = "null",       [PK_JSON_BOOL] = "true or false",
		[PK_JSON_NUMBER] = "a number", [PK_JSON_STRING] = "a string",
		[PK_JSON_ARRAY] = "an array",  [PK_JSON_OBJECT] = "an object",
	};

	return names[type];
}

static const cJSON *members(const struct pk_json *object)
{
	return pk_json_type(object) == PK_JSON_OBJECT ? node(object)->child : NULL;
}

const struct pk_json *pk_json_get(const struct pk_json *object, const char *key)
{
	for (const cJSON *n = members(object); n; n = n->next)
		if (strcmp(n->string, key) == 0)
			return value(n);
	return NULL;
}

const struct pk_json *pk_json_get_nocase(const struct pk_json *object, const char *key)
{
	const struct pk_json *exact = pk_json_get(object, key);

	if (exact)
		return exact;
	for (const cJSON *n = members(object); n; n = n->next)
		if (strcasecmp(n->string, key) == 0)
			return value(n);
	return NULL;
}

const struct pk_json *pk_json_first(const struct pk_json *container)
{
	return container ? value(node(container)->child) : NULL;
}

const struct pk_json *pk_json_next(const struct pk_json *v)
{
	return value(node(v)->next);
}

size_t pk_json_count(const struct pk_json *container)
{
	size_t n = 0;

	for (const struct pk_json *v = pk_json_first(container); v; v = pk_json_next(v))
		n++;
	return n;
}

const char *pk_json_key(const struct pk_json *member)
{
	return node(member)->string;
}

const char *pk_json_string(const struct pk_json *v)
{
	return pk_json_type(v) == PK_JSON_STRING ? node(v)->valuestring : NULL;
}

bool pk_json_true(const struct pk_json *v)
{
	return v && (node(v)->type & 0xff) == cJSON_True;
}

double pk_json_number(const struct pk_json *v)
{
	return pk_json_type(v) == PK_JSON_NUMBER ? node(v)->valuedouble : 0;
}

int pk_json_int(const struct pk_json *v, int64_t lo, int64_t hi, int64_t *out)
{
	double d = pk_json_number(v);
	int64_t n;

	/* 2^63 itself is the first double that int64_t can't hold. */
	if (pk_json_type(v) != PK_JSON_NUMBER || !(d >= -0x1p63 && d < 0x1p63) || d != floor(d))
		return -EINVAL;
	n = (int64_t)d;
	if (n < lo || n > hi)
		return -EINVAL;
	*out = n;
	return 0;
}

static const struct pk_json_spot *spot_of(const struct pk_json_doc *doc, const struct pk_json *v)
{
	return &doc->t.spots[node(v)->valueint];
}

/* Goes down to v: of each container the last child that starts no later than v. */
static void path_of(const struct pk_json_doc *doc, const struct pk_json *v, struct pk_str *path)
{
	const cJSON *at = doc->root, *child;
	int number = node(v)->valueint;

	while (at->valueint != number) {
		bool array = pk_json_type(value(at)) == PK_JSON_ARRAY;
		size_t index = 0;

		for (child = at->child; child->next && child->next->valueint <= number;
		     child = child->next)
			index++;
		if (array)
			pk_str_addf(path, "[%zu]", index);
		else
			pk_json_path_key(&doc->t, spot_of(doc, value(child))->key, path);
		at = child;
	}
}

int pk_json_line(const struct pk_json_doc *doc, const struct pk_json *v)
{
	return pk_json_line_at(&doc->t, spot_of(doc, v)->value);
}

void pk_json_where(const struct pk_json_doc *doc, const struct pk_json *v, bool key,
		   struct pk_json_where *where)
{
	const struct pk_json_spot *spot = spot_of(doc, v);
	size_t offset = key && spot->key != PK_JSON_NO_KEY ? spot->key : spot->value;
	own_str path = { 0 };

	pk_json_locate(&doc->t, offset, where);
	path_of(doc, v, &path);
	pk_json_path_fit(&path, where->path, sizeof(where->path));
}

int pk_json_fail(struct pk_err *err, const struct pk_json_doc *doc, const struct pk_json *v,
		 bool key, const char *fmt, ...)
{
	struct pk_json_where where;
	own_mem char *what = NULL;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&what, fmt, ap);
	va_end(ap);
	if (n < 0) {
		what = NULL;
		return pk_fail(err, ENOMEM, "%s", doc->t.name);
	}
	pk_json_where(doc, v, key, &where);
	return pk_code(err,
		       pk_fail(err, 0, "%s:%d:%d: error: %s: %s", doc->t.name, where.line,
			       where.col, where.path, what),
		       PK_CODE_DECODE);
}

bool pk_json_relaxed(const struct pk_json_doc *doc)
{
	return doc->t.flags & PK_JSON_RELAXED;
}

bool pk_json_newer(const struct pk_json_doc *doc)
{
	return doc->t.flags & PK_JSON_NEWER;
}
