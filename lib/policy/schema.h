/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The form of a policy document as one table: keys, types, patterns. doc_check.c reads documents
 * by it, tools/schema_json.c prints it as a JSON Schema (2020-12), so the two can't drift apart.
 */
#include <stdbool.h>
#include <stdint.h>

#include "str.h"

enum pk_form {
	PK_FORM_STRING,
	PK_FORM_BOOL,
	PK_FORM_INT,  /* a whole number of lo..hi */
	PK_FORM_WORD, /* a string, or a whole number of lo..hi */
	PK_FORM_LIST,
	PK_FORM_OBJECT,
	PK_FORM_LABELS,	 /* an object of strings whose keys have a format */
	PK_FORM_REFUSED, /* Cilium has this key; here it is an error with its own text */
};

/* The form of a string: words, or fits() which says the same as pattern. Neither: any text. */
struct pk_format {
	const char *expected; /* "a CIDR like 10.0.0.0/8" */
	const char *pattern;  /* an ECMAScript regular expression, anchored */
	bool (*fits)(const char *text);
	const char *const *words; /* ends with NULL; also the source of "did you mean" */
	const char *(*hint)(const char *text); /* a fix for a text that doesn't fit, or NULL */
};

struct pk_schema_key {
	const char *name; /* NULL ends the list */
	const struct pk_schema *form;
	const char *help; /* one line for editors; REFUSED: why, and what instead */
	bool required;
};

struct pk_schema {
	enum pk_form form;
	const char *id;			  /* OBJECT: name under $defs */
	const struct pk_format *format;	  /* STRING, WORD; LABELS: of its keys */
	int64_t lo, hi;			  /* INT; WORD given as a number */
	const struct pk_schema *item;	  /* LIST */
	bool not_empty;			  /* LIST */
	const struct pk_schema_key *keys; /* OBJECT */
	const char *const *either;	  /* OBJECT: at most one of these keys */
	const char *const *either2;	  /* a second such list */
	const char *too_many;		  /* the fix for two of either */
	/* OBJECT: JSON Schema of what doc*.c check beyond keys and types; members of an "allOf". */
	const char *extra;
};

/* JSON Schema of a rule without pass: what any tier but the operator's may have. */
#define PK_SCHEMA_NO_PASS_(dir)                                                                    \
	"\"" dir "\":{\"items\":{\"properties\":{\"pass\":{\"const\":false}}}}"
#define PK_SCHEMA_NO_PASS                                                                          \
	"{\"properties\":{" PK_SCHEMA_NO_PASS_("ingress") "," PK_SCHEMA_NO_PASS_("egress") "}}"

extern const struct pk_schema pk_schema_rule, pk_schema_rules, pk_schema_document;
