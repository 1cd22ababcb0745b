/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A growing string with a cap, and helpers for text that tenants wrote. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pk_str {
	char *text;	       /* NUL-terminated, or NULL while empty */
	size_t len, room, cap; /* cap 0 = 64 MiB */
	bool failed;	       /* over the cap, or no memory: text is what fitted */
};

void pk_str_done(struct pk_str *s);
void pk_str_reset(struct pk_str *s); /* to "", keeping its room: what is built again and again */
void pk_str_add(struct pk_str *s, const char *text);
void pk_str_addn(struct pk_str *s, const void *bytes, size_t n);
void pk_str_addf(struct pk_str *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Moves the text out (never NULL unless failed); the string is empty afterwards. */
char *pk_str_take(struct pk_str *s);
#define own_str PK_OWN(pk_str_done) struct pk_str

/*
 * Returns the length of the UTF-8 sequence at p (RFC 3629), 0 if it is none. The text ends with
 * NUL, which continues no sequence.
 */
size_t pk_utf8_len(const char *p);
/*
 * Control characters, bidi controls, and bytes that are no UTF-8 become \xNN: safe for a terminal.
 */
void pk_str_add_escaped(struct pk_str *s, const char *text);

/* Whole-string decimal, no sign, no blanks: 0 or -EINVAL / -ERANGE. */
int pk_parse_u64(const char *text, uint64_t max, uint64_t *out);

/* Percent-encoded but for letters, digits and the characters of keep. */
void pk_str_add_percent(struct pk_str *s, const char *text, const char *keep);

/*
 * Returns the name that is at most three edits from the word, for "did you mean"; NULL: none is
 * near. The last of names is NULL.
 */
const char *pk_nearest(const char *word, const char *const *names);

/*
 * SipHash-2-4 with a fixed key a table; 128-bit digest of canonical text (two of them, fixed keys).
 */
uint64_t pk_siphash(const void *data, size_t n, const uint64_t key[2]);
void pk_hash128(const void *data, size_t n, uint64_t out[2]);
/* The digits of such a digest, as many as the room has. */
#define PK_DIGEST_TEXT 33
void pk_hash_hex(const uint64_t hash[2], char *to, size_t room);
