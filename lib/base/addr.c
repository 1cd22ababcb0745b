/* SPDX-License-Identifier: Apache-2.0 */
#include "addr.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "str.h"

#include "picket/limits.h"

const uint8_t pk_gateway_mac[6] = PK_GATEWAY_MAC;

union pk_addr pk_addr_from4(__be32 v4)
{
	union pk_addr a = { .w = { 0, 0, htonl(0xffff), v4 } };

	return a;
}

__be32 pk_addr_to4(const union pk_addr *addr)
{
	return addr->w[3];
}

bool pk_addr_is4(const union pk_addr *addr)
{
	return !addr->d[0] && addr->w[2] == htonl(0xffff);
}

bool pk_addr_is_zero(const union pk_addr *addr)
{
	return !addr->d[0] && !addr->d[1];
}

bool pk_addr_equal(const union pk_addr *a, const union pk_addr *b)
{
	return a->d[0] == b->d[0] && a->d[1] == b->d[1];
}

int pk_addr_parse(const char *text, union pk_addr *out)
{
	union pk_addr a;
	struct in_addr v4;

	if (inet_pton(AF_INET, text, &v4) == 1) {
		*out = pk_addr_from4(v4.s_addr);
		return 0;
	}
	if (inet_pton(AF_INET6, text, &a) != 1 || pk_addr_is4(&a))
		return -EINVAL;
	*out = a;
	return 0;
}

const char *pk_addr_format(const union pk_addr *addr, char text[PK_ADDR_TEXT])
{
	if (pk_addr_is4(addr))
		inet_ntop(AF_INET, &addr->w[3], text, PK_ADDR_TEXT);
	else
		inet_ntop(AF_INET6, addr, text, PK_ADDR_TEXT);
	return text;
}

int pk_prefix_parse(const char *text, struct pk_prefix *out)
{
	char addr[PK_ADDR_TEXT];
	const char *slash = strchr(text, '/');
	size_t n = slash ? (size_t)(slash - text) : strlen(text);
	struct pk_prefix p;
	uint64_t len;

	if (n >= sizeof(addr))
		return -EINVAL;
	memcpy(addr, text, n);
	addr[n] = '\0';
	if (pk_addr_parse(addr, &p.addr) < 0)
		return -EINVAL;
	p.v6 = !pk_addr_is4(&p.addr);
	len = p.v6 ? 128 : 32;
	if (slash && (pk_parse_u64(slash + 1, len, &len) < 0 || (slash[1] == '0' && slash[2])))
		return -EINVAL;
	p.len = (uint8_t)len;
	*out = p;
	return 0;
}

const char *pk_prefix_format(const struct pk_prefix *prefix, char text[PK_ADDR_TEXT])
{
	size_t n;

	pk_addr_format(&prefix->addr, text);
	n = strlen(text);
	snprintf(text + n, PK_ADDR_TEXT - n, "/%u", prefix->len);
	return text;
}

static bool same_bits(const union pk_addr *a, const union pk_addr *b, unsigned int bits)
{
	unsigned int bytes = bits / 8, rest = bits % 8;

	if (memcmp(a->b, b->b, bytes))
		return false;
	return !rest || !((a->b[bytes] ^ b->b[bytes]) >> (8 - rest));
}

void pk_prefix_mask(struct pk_prefix *prefix)
{
	unsigned int bits = pk_prefix_bits(prefix);

	for (unsigned int i = 0; i < 16; i++) {
		if (bits >= (i + 1) * 8)
			continue;
		prefix->addr.b[i] &= bits <= i * 8 ? 0 : (uint8_t)(0xff << (8 - bits % 8));
	}
}

bool pk_prefix_has(const struct pk_prefix *prefix, const union pk_addr *addr)
{
	return prefix->v6 != pk_addr_is4(addr) &&
	       same_bits(&prefix->addr, addr, pk_prefix_bits(prefix));
}

bool pk_prefix_covers(const struct pk_prefix *a, const struct pk_prefix *b)
{
	return a->v6 == b->v6 && a->len <= b->len &&
	       same_bits(&a->addr, &b->addr, pk_prefix_bits(a));
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

int pk_mac_parse(const char *text, uint8_t mac[6])
{
	uint8_t v[6];

	if (strlen(text) != PK_MAC_TEXT - 1)
		return -EINVAL;
	for (int i = 0; i < 6; i++, text += 3) {
		int high = hex_digit(text[0]), low = hex_digit(text[1]);

		if (high < 0 || low < 0 || text[2] != (i < 5 ? ':' : '\0'))
			return -EINVAL;
		v[i] = (uint8_t)(high << 4 | low);
	}
	memcpy(mac, v, sizeof(v));
	return 0;
}

const char *pk_mac_format(const uint8_t mac[6], char text[PK_MAC_TEXT])
{
	snprintf(text, PK_MAC_TEXT, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3],
		 mac[4], mac[5]);
	return text;
}

const char *pk_proto_word(uint8_t proto)
{
	switch (proto) {
	case IPPROTO_TCP:
		return "tcp";
	case IPPROTO_UDP:
		return "udp";
	case IPPROTO_SCTP:
		return "sctp";
	case IPPROTO_ICMP:
		return "icmp";
	case IPPROTO_ICMPV6:
		return "icmpv6";
	default:
		return NULL;
	}
}

const char *pk_port_format(uint16_t port, uint8_t proto, char text[PK_PORT_TEXT])
{
	const char *word = pk_proto_word(proto);

	snprintf(text, PK_PORT_TEXT, "%u%s%s", port, word ? "/" : "", word ?: "");
	return text;
}
