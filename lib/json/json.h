/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * JSON: a strict scan in front of cJSON, typed getters whose errors carry
 * file:line:col and the JSON path, and a writer. cJSON appears in json.c alone.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "str.h"

struct pk_json;	    /* a value inside a document; never freed by itself */
struct pk_json_doc; /* owns text and tree */

enum pk_json_flags {
	PK_JSON_COMMENTS = 1 << 0, /* // and block comments are blanked in place */
	/*
	 * Other programs' output: any number, larger cap and depth; NUL and lone surrogates in a
	 * string become U+FFFD and null counts as absent for the typed getters. Doubled keys are
	 * still refused.
	 */
	PK_JSON_RELAXED = 1 << 1,
	/* Our own state, which a newer release may have written: pk_json_only takes any key. */
	PK_JSON_NEWER = 1 << 2,
};

#define PK_JSON_MAX   (1u << 20) /* bytes; relaxed: 64 MiB */
#define PK_JSON_DEPTH 32	 /* relaxed: 128 */

/*
 * Refused, each with "name:line:col: error: path: what": empty text, bytes after the document,
 * keys twice (compared unescaped), NUL or control characters or lone surrogates in a string,
 * bad UTF-8, a BOM, leading zeros, |number| > 2^53-1, too deep, too long.
 * The text is copied. name is for errors ("stdin", a path, a key).
 */
int pk_json_parse(const char *name, const char *text, size_t len, unsigned int flags,
		  struct pk_json_doc **doc, struct pk_err *err);
void pk_json_free(struct pk_json_doc *doc);
static inline void pk_json_freep(struct pk_json_doc **doc)
{
	pk_json_free(*doc);
}
#define own_json PK_OWN(pk_json_freep) struct pk_json_doc

const struct pk_json *pk_json_root(const struct pk_json_doc *doc);

enum pk_json_type {
	PK_JSON_NULL,
	PK_JSON_BOOL,
	PK_JSON_NUMBER,
	PK_JSON_STRING,
	PK_JSON_ARRAY,
	PK_JSON_OBJECT
};
enum pk_json_type pk_json_type(const struct pk_json *v);
const char *pk_json_type_name(enum pk_json_type type); /* "a string", "an object", ... */

/*
 * Return the member of that key, NULL where it is absent. Keys are compared with case, but by
 * _nocase without (CNI's runtimeConfig).
 */
const struct pk_json *pk_json_get(const struct pk_json *object, const char *key);
const struct pk_json *pk_json_get_nocase(const struct pk_json *object, const char *key);
/* Members and elements in order: first, then next. */
const struct pk_json *pk_json_first(const struct pk_json *container);
const struct pk_json *pk_json_next(const struct pk_json *value);
size_t pk_json_count(const struct pk_json *container);
const char *pk_json_key(const struct pk_json *member); /* NULL for an element */
const char *pk_json_string(const struct pk_json *v);   /* NULL unless a string */
bool pk_json_true(const struct pk_json *v);	       /* a bool that is true */
/* Reads a whole number of lo..hi; -EINVAL otherwise. */
int pk_json_int(const struct pk_json *v, int64_t lo, int64_t hi, int64_t *out);
double pk_json_number(const struct pk_json *v); /* 0 unless a number */

/* Line and column of a value or, with key, of its member's key, from 1. */
struct pk_json_where {
	int line, col;
	int width;	  /* of the token, for the underline */
	char path[256];	  /* ".rules[0].egress[1]", "." for the root */
	char source[128]; /* the line's text, cut; control characters are blanks */
	int source_col;	  /* of the token in source: col, unless source starts later */
};
void pk_json_where(const struct pk_json_doc *doc, const struct pk_json *v, bool key,
		   struct pk_json_where *where);
int pk_json_line(const struct pk_json_doc *doc, const struct pk_json *v);
/* "name:line:col: error: path: <fmt>" into err; returns -EINVAL. key: point at the member's key. */
int pk_json_fail(struct pk_err *err, const struct pk_json_doc *doc, const struct pk_json *v,
		 bool key, const char *fmt, ...) __attribute__((format(printf, 5, 6)));

/* A refusal of pk_json_parse in its parts, for tools that show the line. */
struct pk_json_fault {
	struct pk_json_where where;
	char what[160];
	char fix[100];
};
int pk_json_parse_fault(const char *name, const char *text, size_t len, unsigned int flags,
			struct pk_json_doc **doc, struct pk_json_fault *fault);

/* Returns whether the text was parsed as one that a newer release may have written. */
bool pk_json_newer(const struct pk_json_doc *doc);
/* Checks that every key of object is in names (which NULL ends); the error says "did you mean". */
int pk_json_only(const struct pk_json_doc *doc, const struct pk_json *object,
		 const char *const *names, struct pk_err *err);

/*
 * Typed getters of one member: absent leaves *out alone and returns 0; a wrong type or range is an
 * error with line and column.
 */
int pk_json_get_string(const struct pk_json_doc *doc, const struct pk_json *object, const char *key,
		       const char **out, struct pk_err *err);
int pk_json_get_bool(const struct pk_json_doc *doc, const struct pk_json *object, const char *key,
		     bool *out, struct pk_err *err);
struct pk_json_range {
	int64_t lo, hi;
};
int pk_json_get_int(const struct pk_json_doc *doc, const struct pk_json *object, const char *key,
		    struct pk_json_range range, int64_t *out, struct pk_err *err);

/* Writer: commas and escapes by itself. indent 0 = one line. */
struct pk_jw {
	struct pk_str *out;
	int indent, depth;
	bool comma;
};
void pk_jw_open(struct pk_jw *w, const char *key,
		char bracket);			 /* '{' or '['; key NULL in arrays */
void pk_jw_close(struct pk_jw *w, char bracket); /* '}' or ']' */
void pk_jw_string(struct pk_jw *w, const char *key, const char *value); /* value NULL: null */
void pk_jw_int(struct pk_jw *w, const char *key, int64_t value);
void pk_jw_uint(struct pk_jw *w, const char *key, uint64_t value);
void pk_jw_double(struct pk_jw *w, const char *key, double value);
void pk_jw_bool(struct pk_jw *w, const char *key, bool value);
void pk_jw_null(struct pk_jw *w, const char *key);
/* Writes a value of a parsed document as it stands (without comments). */
void pk_jw_value(struct pk_jw *w, const char *key, const struct pk_json *v);
