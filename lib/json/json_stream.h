/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * A reader for long JSON of other programs: it is fed pieces of any size, tells of the values that
 * a table names, and skips all others by counting brackets. It keeps no tree and has no limit on
 * depth; its memory is the longest text that the table names, at most text_max.
 *
 * What is not JSON around the named values ends the reading. What is wrong with a named value (its
 * type, its text, its key given twice) is told like the value itself, so that its owner can refuse
 * the one thing that it belongs to. A null is as good as absent, as in pk_json_parse's relaxed
 * mode, and NUL and lone surrogates become U+FFFD.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"

enum pk_stream_kind { PK_STREAM_OBJECT, PK_STREAM_ARRAY, PK_STREAM_TEXT, PK_STREAM_INT };

#define PK_STREAM_EACH	"*" /* every element of an array, every other member of an object */
#define PK_STREAM_DEPTH 16  /* of named containers */

/* One named value. The first of a table is the root; a parent stands before its children. */
struct pk_stream_node {
	unsigned int parent; /* its index in the table */
	const char *key;
	enum pk_stream_kind kind;
};

struct pk_stream_table {
	const char *name; /* for errors: "Nomad's allocs" */
	const struct pk_stream_node *nodes;
	size_t n;	 /* at most 64 */
	size_t text_max; /* bytes of one text, as it is written */
};

enum pk_stream_what {
	PK_STREAM_BEGIN, /* of an object or array */
	PK_STREAM_END,
	PK_STREAM_VALUE, /* a text or a whole number */
	PK_STREAM_BAD,	 /* another type, a text that is none, a key that stands twice */
};

struct pk_stream_event {
	enum pk_stream_what what;
	unsigned int node;
	const char *key;  /* of a PK_STREAM_EACH member; NULL where it is longer than text_max */
	const char *text; /* of a text, NUL-terminated; NULL where it is longer than text_max */
	size_t len;	  /* its bytes; of a longer one as they are written */
	int64_t number;
	const char *why; /* of PK_STREAM_BAD */
};

/* A result that isn't 0 ends the reading and is pk_stream_feed's; the function fills err. */
typedef int pk_stream_fn(void *arg, const struct pk_stream_event *event);

struct pk_stream;

struct pk_stream *pk_stream_new(const struct pk_stream_table *table, pk_stream_fn *fn, void *arg);
void pk_stream_free(struct pk_stream *stream);
/* 0, -EINVAL (not JSON; err says where), or what fn returned. After an error it takes no more. */
int pk_stream_feed(struct pk_stream *stream, const char *bytes, size_t n, struct pk_err *err);
/* -EINVAL: the text ended too early. */
int pk_stream_end(struct pk_stream *stream, struct pk_err *err);
