/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The form of a JSON file as one table: keys, types, ranges, patterns, and where each value is kept
 * in a struct. Every file that Picket reads by itself has such a table: policy documents
 * (policy/doc_schema.c), picketd.json (controller/conf_keys.c), the conflist (cni_conf.c),
 * node.json (settings.c) and an endpoint's record (record_json.c). schema_check.c says what is
 * wrong with a value, schema_read.c reads and writes a struct by the table, schema_json.c prints it
 * as a JSON Schema (2020-12) for editors, so that they can't drift apart.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "json.h"
#include "str.h"

enum pk_form {
	PK_FORM_STRING,
	PK_FORM_BOOL,
	PK_FORM_INT,  /* a whole number of lo..hi */
	PK_FORM_WORD, /* a string, or a whole number of lo..hi */
	PK_FORM_LIST,
	PK_FORM_OBJECT,
	PK_FORM_LABELS,	 /* an object of strings whose keys have a format */
	PK_FORM_REFUSED, /* a key that is known and not taken: an error with its own text */
	PK_FORM_EITHER,	 /* one of two forms, told apart by their JSON types */
	PK_FORM_ANY,	 /* whatever stands there is somebody else's */
};

/* The form of a string: words, or fits() which says the same as pattern. Neither: any text. */
struct pk_format {
	const char *expected; /* "a CIDR like 10.0.0.0/8" */
	const char *pattern;  /* an ECMAScript regular expression, anchored */
	bool (*fits)(const char *text);
	const char *const *words; /* ends with NULL; also the source of "did you mean" */
	const char *(*hint)(const char *text); /* a fix for a text that doesn't fit, or NULL */
	bool hidden; /* an error doesn't repeat the text: it may hold a password */
};

struct pk_schema;

/*
 * The functions that keep values of a form. at is the member that the key's offset leads to. read
 * gets a value that has passed the check; it may refuse it still (pk_json_fail). Not all that is
 * read is written again.
 */
struct pk_kept {
	int (*read)(const struct pk_schema *s, const struct pk_json_doc *doc,
		    const struct pk_json *v, void *at, struct pk_err *err);
	void (*write)(const struct pk_schema *s, struct pk_jw *w, const char *key, const void *at);
};

struct pk_schema_key {
	const char *name; /* NULL ends the list */
	const struct pk_schema *form;
	const char *help; /* one line for editors; REFUSED: why, and what instead */
	bool required;
	size_t at; /* of the member, from the struct of the object around it */
};

/*
 * The keys of another object: where one of them stands in this one, the error says where it
 * belongs.
 */
struct pk_schema_belongs {
	const struct pk_schema *to;
	const char *what, *fix;
};

struct pk_schema {
	enum pk_form form;
	const char *id;			  /* OBJECT: name under $defs; NULL: said in place */
	const struct pk_format *format;	  /* STRING, WORD; LABELS: of its keys */
	int64_t lo, hi;			  /* INT; WORD given as a number */
	const struct pk_schema *item;	  /* LIST; EITHER: the first form */
	const struct pk_schema *other;	  /* EITHER: the second one */
	size_t most;			  /* LIST: items; 0: any number */
	bool not_empty;			  /* LIST, STRING */
	bool null_ok;			  /* null is a value, too */
	const struct pk_schema_key *keys; /* OBJECT; NULL: any keys, which nobody reads */
	const char *foreign; /* OBJECT: a key with one of these characters is somebody else's */
	const char *const *either;		 /* OBJECT: at most one of these keys */
	const char *const *either2;		 /* a second such list */
	const char *too_many;			 /* the fix for two of either */
	const struct pk_schema_belongs *belongs; /* OBJECT */
	const char *(*meant)(const struct pk_schema *s, const char *key); /* by an unknown key */
	/* OBJECT: JSON Schema of what the reader checks beyond keys and types: parts of "allOf". */
	const char *extra;
	const struct pk_kept *kept; /* NULL: an OBJECT's keys say it, or nothing is kept */
	size_t room;		    /* STRING: bytes of the member with its NUL; 0: any length */
	const char *why, *fix;	    /* REFUSED: said in place of the key's help */
	const char *usual;	    /* the default, as JSON, for editors; NULL: none said */
};

/* A sink takes the refusals. */
struct pk_schema_sink {
	const struct pk_json_doc *doc;
	void (*say)(struct pk_schema_sink *to, const struct pk_json *v, bool key, const char *fix,
		    const char *what); /* fix may be NULL */
};

/* Checks v, and what is in it, against all that the table says. */
void pk_schema_check(struct pk_schema_sink *to, const struct pk_schema *s, const struct pk_json *v);
/* Checks one member of an object in the same way. */
void pk_schema_check_member(struct pk_schema_sink *to, const struct pk_schema *s,
			    const struct pk_json *member);

/* Reads v into the struct at *into, in the text's order, up to the first error: -EINVAL. */
int pk_schema_read(const struct pk_schema *s, const struct pk_json_doc *doc,
		   const struct pk_json *v, void *into, struct pk_err *err);
/* Reads a value that has passed the check, for what a form's own read keeps by the table. */
int pk_schema_take(const struct pk_schema *s, const struct pk_json_doc *doc,
		   const struct pk_json *v, void *into, struct pk_err *err);
/* Does what pk_schema_read does for one member of such an object. */
int pk_schema_read_member(const struct pk_schema *s, const struct pk_json_doc *doc,
			  const struct pk_json *member, void *into, struct pk_err *err);
/*
 * Writes what a key's form keeps in the struct, as a member named key (NULL: an element). Nothing
 * is written for what nobody keeps. An EITHER that keeps nothing by itself is written in its second
 * form.
 */
void pk_schema_write_member(const struct pk_schema_key *k, struct pk_jw *w, const char *key,
			    const void *from);
/* Returns the form of an EITHER that takes values of v's type. */
const struct pk_schema *pk_schema_alternative(const struct pk_schema *s, const struct pk_json *v);
const struct pk_schema_key *pk_schema_find(const struct pk_schema *s, const char *name);
bool pk_format_ok(const struct pk_format *format, const char *text);

/* The usual members: bool, uint32_t, int64_t, char[room], and an int that is the word's index. */
extern const struct pk_kept pk_kept_bool, pk_kept_u32, pk_kept_i64, pk_kept_text, pk_kept_word;

/* A JSON Schema whose root is s; objects with an id stand under $defs. */
void pk_schema_print(const struct pk_schema *s, const char *title, struct pk_str *out);
/*
 * These print a schema in parts, for a root that is written by hand: a value, and each object with
 * an id below s.
 */
void pk_schema_print_value(struct pk_jw *w, const char *key, const struct pk_schema_key *k);
void pk_schema_print_defs(struct pk_jw *w, const struct pk_schema *s);
/* JSON text of the program's own as it stands; key NULL: the elements of a list. */
void pk_schema_print_raw(struct pk_jw *w, const char *key, const char *text);
