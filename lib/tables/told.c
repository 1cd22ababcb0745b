/* SPDX-License-Identifier: Apache-2.0 */
#include "told.h"

#include <arpa/inet.h>
#include <stdbool.h>
#include <string.h>

#define NAME_MAX_WIRE 255 /* RFC 1035 3.1 */
#define LABEL_MAX     63
#define ID_SHOWN      8 /* characters of an alloc's id that Nomad shows */
#define DHCP_DNS      6
#define DHCP_HOST     12
#define DHCP_DOMAIN   15
#define DHCP_SEARCH   119
#define DHCP6_DNS     23
#define DHCP6_SEARCH  24
#define RA_DNS	      25
#define RA_SEARCH     31

/* A buffer that bytes are appended to, as long as there is room for all of them. */
struct buffer {
	uint8_t *at;
	size_t len, room;
};

static bool put(struct buffer *p, const void *bytes, size_t n)
{
	if (n > p->room - p->len)
		return false;
	memcpy(p->at + p->len, bytes, n);
	p->len += n;
	return true;
}

static void put16(uint8_t *at, size_t value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

static bool is_label(const char *text, size_t n)
{
	static const char all[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";

	return n && n <= LABEL_MAX && strspn(text, all) >= n;
}

/* Encodes n characters as labels; 0: they are no domain name. */
static size_t name_encode(const char *text, size_t n, uint8_t wire[NAME_MAX_WIRE])
{
	size_t len = 0;

	if (n && text[n - 1] == '.')
		n--;
	for (size_t at = 0, label; at < n; at += label + 1) {
		const char *dot = memchr(text + at, '.', n - at);

		label = dot ? (size_t)(dot - text) - at : n - at;
		if (!is_label(text + at, label) || len + label + 2 > NAME_MAX_WIRE ||
		    (dot && at + label + 1 == n))
			return 0;
		wire[len++] = (uint8_t)label;
		memcpy(wire + len, text + at, label);
		len += label;
	}
	if (len)
		wire[len++] = 0;
	return len;
}

static const char *next_word(const char **text, size_t *n)
{
	const char *word = *text ? *text + strspn(*text, " \t") : NULL;

	if (!word || !*word)
		return NULL;
	*n = strcspn(word, " \t");
	*text = word + *n;
	return word;
}

static size_t servers_of(const struct pk_told *told, bool v4, union pk_addr list[PK_TOLD_SERVERS])
{
	size_t n = 0;

	for (size_t i = 0; i < told->n_servers && n < PK_TOLD_SERVERS; i++)
		if (pk_addr_is4(&told->servers[i]) == v4)
			list[n++] = told->servers[i];
	return n;
}

static void put_servers4(const struct pk_told *told, struct pk_answers *out)
{
	union pk_addr list[PK_TOLD_SERVERS];
	size_t n = servers_of(told, true, list);

	if (!n)
		return;
	out->servers4[0] = DHCP_DNS;
	out->servers4[1] = (uint8_t)(4 * n);
	for (size_t i = 0; i < n; i++)
		memcpy(out->servers4 + 2 + 4 * i, list[i].b + 12, 4);
}

/* The first name is the host's own domain, too. */
static void put_domain4(const struct pk_told *told, struct buffer *p)
{
	uint8_t wire[NAME_MAX_WIRE], head[2] = { DHCP_DOMAIN };
	const char *text = told->search, *word;
	size_t n;

	while ((word = next_word(&text, &n))) {
		if (!name_encode(word, n, wire))
			continue;
		n -= word[n - 1] == '.';
		head[1] = (uint8_t)n;
		if (p->room - p->len >= sizeof(head) + n) {
			put(p, head, sizeof(head));
			put(p, word, n);
		}
		return;
	}
}

/* All names that have room; how many are left out. */
static size_t put_names(const struct pk_told *told, struct buffer *p)
{
	uint8_t wire[NAME_MAX_WIRE];
	const char *text = told->search, *word;
	size_t n, out = 0;

	while ((word = next_word(&text, &n))) {
		n = name_encode(word, n, wire);
		if (!n || !put(p, wire, n))
			out++;
	}
	return out;
}

/*
 * Puts a head of n bytes and all names that have room behind it, or neither where none has; returns
 * how many names are left out.
 */
static size_t put_search(const struct pk_told *told, struct buffer *p, const void *head, size_t n)
{
	size_t begin = p->len, left;

	if (!put(p, head, n))
		return 1;
	left = put_names(told, p);
	if (p->len == begin + n) {
		memset(p->at + begin, 0, n);
		p->len = begin;
	}
	return left;
}

/* Adds the host name behind the search list, so that it takes no domain's room. */
static void put_host4(const struct pk_told *told, struct buffer *p)
{
	size_t n = told->host ? strlen(told->host) : 0;
	uint8_t head[2] = { DHCP_HOST, (uint8_t)n };

	if (!n || n > PK_TOLD_HOST || p->room - p->len < sizeof(head) + n)
		return;
	put(p, head, sizeof(head));
	put(p, told->host, n);
}

static size_t encode_dhcp(const struct pk_told *told, struct pk_answers *out)
{
	struct buffer p = { .at = out->domains4, .room = sizeof(out->domains4) };
	const uint8_t head[2] = { DHCP_SEARCH };
	size_t begin, left;

	put_servers4(told, out);
	put_domain4(told, &p);
	begin = p.len;
	left = put_search(told, &p, head, sizeof(head));
	if (p.len > begin)
		out->domains4[begin + 1] = (uint8_t)(p.len - begin - sizeof(head));
	put_host4(told, &p);
	out->domains4_len = (uint16_t)p.len;
	return left;
}

static size_t encode_dhcp6(const struct pk_told *told, struct pk_answers *out)
{
	struct buffer p = { .at = out->dhcp6, .room = sizeof(out->dhcp6) };
	uint8_t head[4] = { 0, DHCP6_DNS };
	union pk_addr list[PK_TOLD_SERVERS];
	size_t n = servers_of(told, false, list), begin, left;

	if (n) {
		put16(head + 2, 16 * n);
		put(&p, head, sizeof(head));
		put(&p, list, 16 * n);
	}
	begin = p.len;
	head[1] = DHCP6_SEARCH;
	put16(head + 2, 0);
	left = put_search(told, &p, head, sizeof(head));
	if (p.len > begin)
		put16(out->dhcp6 + begin + 2, p.len - begin - sizeof(head));
	out->dhcp6_len = (uint16_t)p.len;
	return left;
}

static size_t encode_ra(const struct pk_told *told, struct pk_answers *out)
{
	struct buffer p = { .at = out->ra, .room = sizeof(out->ra) };
	uint8_t head[8] = { RA_DNS };
	const uint32_t lifetime = htonl(PK_RA_LIFETIME);
	union pk_addr list[PK_TOLD_SERVERS];
	size_t n = servers_of(told, false, list), begin, left;

	memcpy(head + 4, &lifetime, 4);
	if (n) {
		head[1] = (uint8_t)(1 + 2 * n);
		put(&p, head, sizeof(head));
		put(&p, list, 16 * n);
	}
	begin = p.len;
	head[0] = RA_SEARCH;
	left = put_search(told, &p, head, sizeof(head));
	p.len = (p.len + 7) & ~7u;
	if (p.len > begin)
		out->ra[begin + 1] = (uint8_t)((p.len - begin) / 8);
	out->ra_len = (uint16_t)p.len;
	return left;
}

size_t pk_told_encode(const struct pk_told *told, struct pk_answers *out)
{
	size_t dhcp, dhcp6, ra;

	memset(out, 0, sizeof(*out));
	dhcp = encode_dhcp(told, out);
	dhcp6 = encode_dhcp6(told, out);
	ra = encode_ra(told, out);
	dhcp = dhcp > dhcp6 ? dhcp : dhcp6;
	return dhcp > ra ? dhcp : ra;
}

static bool is_alnum(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/*
 * Returns whether text is labels of letters, digits and inner hyphens, with a letter among them:
 * without one it could be an address.
 */
static bool is_host(const char *text)
{
	size_t n = text ? strlen(text) : 0;
	bool letter = false;

	if (!n || n > PK_TOLD_HOST)
		return false;
	for (size_t i = 0; i < n; i++) {
		bool edge = !i || i + 1 == n || text[i - 1] == '.' || text[i + 1] == '.';

		if (!is_alnum(text[i]) && (edge || (text[i] != '-' && text[i] != '.')))
			return false;
		letter |= is_alnum(text[i]) && (text[i] < '0' || text[i] > '9');
	}
	return letter;
}

/* Copies letters and digits in lower case, with one hyphen for whatever stands between them. */
static size_t squeeze(const char *from, size_t room, char *to)
{
	size_t n = 0;

	for (; *from && n < room; from++) {
		bool one = is_alnum(*from);

		if (one)
			to[n++] =
				(char)(*from >= 'A' && *from <= 'Z' ? *from + ('a' - 'A') : *from);
		else if (n && to[n - 1] != '-')
			to[n++] = '-';
	}
	while (n && to[n - 1] == '-')
		n--;
	to[n] = 0;
	return n;
}

void pk_told_host(const char *asked, const char *job, const char *id, char text[PK_TOLD_HOST + 1])
{
	char tail[ID_SHOWN + 1];
	size_t n;

	if (is_host(asked)) {
		strcpy(text, asked);
		return;
	}
	n = squeeze(job ?: "", PK_TOLD_HOST - ID_SHOWN - 1, text);
	if (n && squeeze(id, ID_SHOWN, tail)) {
		text[n] = '-';
		strcpy(text + n + 1, tail);
	}
}
