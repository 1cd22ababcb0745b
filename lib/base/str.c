/* SPDX-License-Identifier: Apache-2.0 */
#include "str.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_CAP (64u << 20)

static bool grow(struct pk_str *s, size_t more)
{
	size_t cap = s->cap ? s->cap : DEFAULT_CAP;
	size_t want = s->room ? s->room : 64;
	char *p;

	if (s->failed || more > cap || s->len + more + 1 > cap) {
		s->failed = true;
		return false;
	}
	while (want < s->len + more + 1)
		want *= 2;
	if (want == s->room)
		return true;
	p = realloc(s->text, want);
	if (!p) {
		s->failed = true;
		return false;
	}
	s->text = p;
	s->room = want;
	return true;
}

void pk_str_done(struct pk_str *s)
{
	free(s->text);
	s->text = NULL;
	s->len = s->room = 0;
}

void pk_str_reset(struct pk_str *s)
{
	s->len = 0;
	s->failed = false;
	if (grow(s, 0))
		s->text[0] = '\0';
}

void pk_str_addn(struct pk_str *s, const void *bytes, size_t n)
{
	if (!grow(s, n))
		return;
	memcpy(s->text + s->len, bytes, n);
	s->len += n;
	s->text[s->len] = '\0';
}

void pk_str_add(struct pk_str *s, const char *text)
{
	pk_str_addn(s, text, strlen(text));
}

void pk_str_addf(struct pk_str *s, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n < 0 || !grow(s, (size_t)n))
		return;
	va_start(ap, fmt);
	vsnprintf(s->text + s->len, (size_t)n + 1, fmt, ap);
	va_end(ap);
	s->len += (size_t)n;
}

char *pk_str_take(struct pk_str *s)
{
	char *text;

	if (s->failed || !grow(s, 0)) {
		pk_str_done(s);
		return NULL;
	}
	s->text[s->len] = '\0';
	/* What is taken is often kept for long: without the room to grow. */
	text = realloc(s->text, s->len + 1) ?: s->text;
	s->text = NULL;
	s->len = s->room = 0;
	return text;
}

/* Returns the length of the character that this byte begins; 0: it begins none. */
static size_t utf8_length(unsigned char first)
{
	if (first < 0x80)
		return 1;
	if (first < 0xc2 || first > 0xf4)
		return 0;
	if (first < 0xe0)
		return 2;
	return first < 0xf0 ? 3 : 4;
}

size_t pk_utf8_len(const char *text)
{
	const unsigned char *p = (const unsigned char *)text;
	size_t n = utf8_length(p[0]);

	for (size_t i = 1; i < n; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) ||
	    (p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f))
		return 0;
	return n;
}

/* C1 controls, U+061C, U+200B-U+200F, U+2028-U+202E, U+2060-U+2069, U+FEFF. */
static bool is_hidden(const unsigned char *p, size_t n)
{
	if (n == 2)
		return (p[0] == 0xc2 && p[1] < 0xa0) || (p[0] == 0xd8 && p[1] == 0x9c);
	if (n != 3)
		return false;
	if (p[0] == 0xe2 && p[1] == 0x80)
		return (p[2] >= 0x8b && p[2] <= 0x8f) || (p[2] >= 0xa8 && p[2] <= 0xae);
	if (p[0] == 0xe2 && p[1] == 0x81)
		return p[2] >= 0xa0 && p[2] <= 0xa9;
	return p[0] == 0xef && p[1] == 0xbb && p[2] == 0xbf;
}

void pk_str_add_escaped(struct pk_str *s, const char *text)
{
	const unsigned char *p = (const unsigned char *)text;

	while (*p) {
		size_t n = pk_utf8_len((const char *)p);

		if (n == 0 || *p < 0x20 || *p == 0x7f || is_hidden(p, n)) {
			n = n ? n : 1;
			for (size_t i = 0; i < n; i++)
				pk_str_addf(s, "\\x%02x", p[i]);
		} else {
			pk_str_addn(s, p, n);
		}
		p += n;
	}
}

void pk_str_add_percent(struct pk_str *s, const char *text, const char *keep)
{
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;
		bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
			     (c >= '0' && c <= '9') || strchr(keep, c);

		if (plain)
			pk_str_addn(s, text, 1);
		else
			pk_str_addf(s, "%%%02X", c);
	}
}

int pk_parse_u64(const char *text, uint64_t max, uint64_t *out)
{
	uint64_t v = 0;

	if (!*text)
		return -EINVAL;
	for (; *text; text++) {
		if (*text < '0' || *text > '9')
			return -EINVAL;
		if (v > (UINT64_MAX - 9) / 10)
			return -ERANGE;
		v = v * 10 + (uint64_t)(*text - '0');
	}
	if (v > max)
		return -ERANGE;
	*out = v;
	return 0;
}

#define WORD_MAX 48

static unsigned int least(unsigned int a, unsigned int b)
{
	return a < b ? a : b;
}

/* Counts the edits that turn a into b; two letters that changed places are one. */
static unsigned int distance(const char *a, const char *b)
{
	unsigned int row[3][WORD_MAX + 1];
	const size_t la = strlen(a), lb = strlen(b);

	if (la > WORD_MAX || lb > WORD_MAX)
		return WORD_MAX;
	for (size_t i = 0; i <= la; i++) {
		unsigned int *now = row[i % 3];
		const unsigned int *last = row[(i + 2) % 3], *before = row[(i + 1) % 3];

		for (size_t j = 0; j <= lb; j++) {
			if (!i || !j) {
				now[j] = (unsigned int)(i + j);
				continue;
			}
			now[j] = least(last[j - 1] + (a[i - 1] != b[j - 1]),
				       least(last[j], now[j - 1]) + 1);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				now[j] = least(now[j], before[j - 2] + 1);
		}
	}
	return row[la % 3][lb];
}

const char *pk_nearest(const char *word, const char *const *names)
{
	unsigned int best = 4, d;
	const char *found = NULL;

	for (; *names; names++) {
		d = distance(word, *names);
		if (d < best && d * 2 <= strlen(*names)) {
			best = d;
			found = *names;
		}
	}
	return found;
}

static uint64_t rotl(uint64_t x, int b)
{
	return x << b | x >> (64 - b);
}

static void sip_round(uint64_t v[4])
{
	v[0] += v[1];
	v[1] = rotl(v[1], 13) ^ v[0];
	v[0] = rotl(v[0], 32);
	v[2] += v[3];
	v[3] = rotl(v[3], 16) ^ v[2];
	v[0] += v[3];
	v[3] = rotl(v[3], 21) ^ v[0];
	v[2] += v[1];
	v[1] = rotl(v[1], 17) ^ v[2];
	v[2] = rotl(v[2], 32);
}

/* SipHash-2-4 (Aumasson, Bernstein 2012). */
uint64_t pk_siphash(const void *data, size_t n, const uint64_t key[2])
{
	uint64_t v[4] = { key[0] ^ 0x736f6d6570736575, key[1] ^ 0x646f72616e646f6d,
			  key[0] ^ 0x6c7967656e657261, key[1] ^ 0x7465646279746573 };
	const unsigned char *p = data;
	uint64_t m;

	for (size_t left = n; left >= 8; left -= 8, p += 8) {
		memcpy(&m, p, 8);
		v[3] ^= m;
		sip_round(v);
		sip_round(v);
		v[0] ^= m;
	}
	m = (uint64_t)n << 56;
	for (size_t i = 0; i < (n & 7); i++)
		m |= (uint64_t)p[i] << (8 * i);
	v[3] ^= m;
	sip_round(v);
	sip_round(v);
	v[0] ^= m;
	v[2] ^= 0xff;
	for (int i = 0; i < 4; i++)
		sip_round(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

void pk_hash128(const void *data, size_t n, uint64_t out[2])
{
	static const uint64_t key[2][2] = { { 0x7069636b65742031, 0x6c6162656c736574 },
					    { 0x7069636b65742032, 0x646967657374206f } };

	out[0] = pk_siphash(data, n, key[0]);
	out[1] = pk_siphash(data, n, key[1]);
}

void pk_hash_hex(const uint64_t hash[2], char *to, size_t room)
{
	char all[PK_DIGEST_TEXT];

	snprintf(all, sizeof(all), "%016llx%016llx", (unsigned long long)hash[0],
		 (unsigned long long)hash[1]);
	snprintf(to, room, "%s", all);
}
