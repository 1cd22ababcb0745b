// SPDX-License-Identifier: Apache-2.0
/*
 * Resolvers, search list and host name as the options of DHCP (RFC 2132, 3397), DHCPv6 (RFC 3646)
 * and router advertisements (RFC 8106). A name that has no room stays out whole.
 */
#include <string.h>

#include "tests/model/paper.h"

#define NAME 256

void paper_put(struct paper *p, const void *bytes, uint32_t n)
{
	memcpy(p->b + p->len, bytes, n);
	p->len += n;
}

void paper_number(struct paper *p, uint64_t value, uint32_t bytes)
{
	for (uint32_t i = bytes; i--;)
		p->b[p->len++] = (uint8_t)(value >> 8 * i);
}

void paper_pad(struct paper *p, uint32_t len)
{
	while (p->len < len)
		p->b[p->len++] = 0;
}

/* RFC 1035 3.1; 0: it is no domain name. */
static uint32_t name_wire(const char *name, uint8_t wire[NAME])
{
	uint32_t n = 0, label = 0;

	for (const char *c = name;; c++) {
		if (*c && *c != '.') {
			bool may = (*c >= 'a' && *c <= 'z') || (*c >= '0' && *c <= '9') ||
				   *c == '-' || *c == '_';

			if (!may || n + 2 >= NAME)
				return 0;
			wire[++n] = (uint8_t)*c;
			continue;
		}
		if (n == label || n - label > 63)
			return 0;
		wire[label] = (uint8_t)(n - label);
		label = ++n;
		if (!*c || !c[1])
			break;
	}
	wire[n++] = 0;
	return n <= 255 ? n : 0;
}

/* The nr-th of the names. */
static bool name_of(const struct told *t, uint32_t nr, char name[sizeof(t->search)])
{
	const char *at = t->search;

	for (;; nr--) {
		at += strspn(at, " ");
		if (!*at)
			return false;
		if (!nr)
			break;
		at += strcspn(at, " ");
	}
	memcpy(name, at, strcspn(at, " "));
	name[strcspn(at, " ")] = 0;
	return true;
}

static void put_names(struct paper *p, const struct told *t, uint32_t room)
{
	char name[sizeof(t->search)];
	uint8_t wire[NAME];
	uint32_t n;

	for (uint32_t i = 0; name_of(t, i, name); i++) {
		n = name_wire(name, wire);
		if (p->len + n <= room)
			paper_put(p, wire, n);
	}
}

static uint32_t servers_of(const struct told *t, bool v4, union pk_addr list[PK_TOLD_SERVERS])
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < t->servers && n < PK_TOLD_SERVERS; i++)
		if (addr_is_v4(&t->server[i]) == v4)
			list[n++] = t->server[i];
	return n;
}

/* Option 6, and padding where the others have their place. */
void told_servers4(struct paper *p, const struct told *t)
{
	union pk_addr list[PK_TOLD_SERVERS];
	uint32_t n = servers_of(t, true, list), begin = p->len;

	if (n) {
		paper_number(p, 6, 1);
		paper_number(p, 4 * n, 1);
	}
	for (uint32_t i = 0; i < n; i++)
		paper_put(p, list[i].b + 12, 4);
	paper_pad(p, begin + PK_TOLD_SERVERS4);
}

/* Options 15 (the first domain), 119 and 12. */
void told_domains4(struct paper *p, const struct told *t)
{
	const uint32_t room = p->len + PK_TOLD_DOMAINS4;
	char name[sizeof(t->search)];
	uint8_t wire[NAME];
	uint32_t begin, n;

	for (uint32_t i = 0; name_of(t, i, name); i++) {
		if (!name_wire(name, wire))
			continue;
		n = (uint32_t)strlen(name);
		n -= name[n - 1] == '.';
		if (p->len + 2 + n <= room) {
			paper_number(p, 15, 1);
			paper_number(p, n, 1);
			paper_put(p, name, n);
		}
		break;
	}
	begin = p->len;
	if (begin + 2 > room)
		return;
	paper_number(p, 119 << 8, 2);
	put_names(p, t, room);
	p->b[begin + 1] = (uint8_t)(p->len - begin - 2);
	if (p->len == begin + 2)
		p->len = begin;
	n = (uint32_t)strlen(t->host);
	if (!n || p->len + 2 + n > room)
		return;
	paper_number(p, 12, 1);
	paper_number(p, n, 1);
	paper_put(p, t->host, n);
}

/* Options 23 and 24. */
void told_dhcp6(struct paper *p, const struct told *t)
{
	const uint32_t room = p->len + PK_TOLD_DHCP6;
	union pk_addr list[PK_TOLD_SERVERS];
	uint32_t n = servers_of(t, false, list), begin;

	if (n) {
		paper_number(p, 23, 2);
		paper_number(p, 16 * n, 2);
		paper_put(p, list, 16 * n);
	}
	begin = p->len;
	paper_number(p, 24, 2);
	paper_number(p, 0, 2);
	put_names(p, t, room);
	put16(p->b + begin + 2, (uint16_t)(p->len - begin - 4));
	if (p->len == begin + 4)
		p->len = begin;
}

/* RDNSS and DNSSL, each a multiple of eight bytes. */
void told_ra(struct paper *p, const struct told *t)
{
	const uint32_t room = p->len + PK_TOLD_RA;
	union pk_addr list[PK_TOLD_SERVERS];
	uint32_t n = servers_of(t, false, list), begin;

	if (n) {
		paper_number(p, 25, 1);
		paper_number(p, 1 + 2 * n, 1);
		paper_number(p, PK_RA_LIFETIME, 6);
		paper_put(p, list, 16 * n);
	}
	begin = p->len;
	paper_number(p, 31, 1);
	paper_number(p, PK_RA_LIFETIME, 7);
	put_names(p, t, room);
	if (p->len == begin + 8) {
		p->len = begin;
		return;
	}
	while ((p->len - begin) % 8)
		paper_number(p, 0, 1);
	p->b[begin + 1] = (uint8_t)((p->len - begin) / 8);
}
