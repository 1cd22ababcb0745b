/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* lib/json/json*.c alone use this: the strict scan, and the lines and columns that it notes. */
#include "json.h"

#define PK_JSON_RELAXED_MAX (64u << 20)
#define PK_JSON_NO_KEY	    UINT32_MAX

/* Offsets of one value's first byte and of the quote that opens its key. */
struct pk_json_spot {
	uint32_t value, key;
};

struct pk_json_text {
	char *name;
	char *bytes;	/* NUL-terminated; comments blanked, so it is plain JSON */
	char *original; /* with comments; the same pointer where there were none */
	size_t len;
	unsigned int flags;
	struct pk_json_spot *spots; /* every value in document order, the root first */
	size_t n_spots, room_spots;
	uint32_t *lines; /* offset of each line's first byte */
	size_t n_lines;
};

/* Checks bytes, blanks comments, fills spots. -EINVAL: the fault is filled. */
int pk_json_scan(struct pk_json_text *t, struct pk_json_fault *fault);

int pk_json_hex4(const char *p); /* four hexadecimal digits, or -1 */
/* Appends the text that a checked string between two quotes stands for. */
void pk_json_unescape(const char *p, const char *end, struct pk_str *out);
/*
 * Unescapes a string that nothing has checked, as relaxed mode takes it: NUL and lone surrogates
 * become U+FFFD. False: it is no string of JSON. out is emptied first.
 */
bool pk_json_plain(const char *p, size_t n, struct pk_str *out);

/*
 * Returns the line of the offset, from 1. It is cheap, where pk_json_locate goes through the line.
 */
int pk_json_line_at(const struct pk_json_text *t, size_t offset);

/* Finds line, column, width and source of the token at the offset; the path is left empty. */
void pk_json_locate(const struct pk_json_text *t, size_t offset, struct pk_json_where *where);

/* Adds .key or ["key"] for the key whose opening quote is at the offset. */
void pk_json_path_key(const struct pk_json_text *t, size_t offset, struct pk_str *path);
/* Writes the path for people: "." for an empty one; a long one loses its middle. */
void pk_json_path_fit(struct pk_str *path, char *out, size_t room);

bool pk_json_relaxed(const struct pk_json_doc *doc);
