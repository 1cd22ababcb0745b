/* SPDX-License-Identifier: Apache-2.0 */
#include "icmp.h"

#include <ctype.h>
#include <errno.h>
#include <netinet/in.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>

#include "ast.h"
#include "own.h"
#include "str.h"

#define NUMBER(nr, name) nr,
#define NAME(nr, name)	 name,
static const uint8_t number4[] = { PK_ICMP4_TYPES(NUMBER) }, number6[] = { PK_ICMP6_TYPES(NUMBER) };
static const char *const name4[] = { PK_ICMP4_TYPES(NAME) NULL };
static const char *const name6[] = { PK_ICMP6_TYPES(NAME) NULL };

const char *const *pk_icmp_type_names(bool v6)
{
	return v6 ? name6 : name4;
}

static bool equal_loosely(const char *a, const char *b)
{
	for (;;) {
		a += strspn(a, "-");
		b += strspn(b, "-");
		if (tolower((unsigned char)*a) != tolower((unsigned char)*b))
			return false;
		if (!*a)
			return true;
		a++;
		b++;
	}
}

int pk_icmp_type(const char *text, bool v6, bool loose, uint8_t *out)
{
	const char *const *names = pk_icmp_type_names(v6);
	uint64_t number;

	if (pk_parse_u64(text, 255, &number) == 0) {
		if (text[0] == '0' && text[1])
			return -EINVAL;
		*out = (uint8_t)number;
		return 0;
	}
	for (size_t i = 0; names[i]; i++)
		if (loose ? equal_loosely(text, names[i]) : strcmp(text, names[i]) == 0) {
			*out = v6 ? number6[i] : number4[i];
			return 0;
		}
	return -EINVAL;
}

const char *pk_icmp_type_name(bool v6, uint8_t type)
{
	const char *const *names = pk_icmp_type_names(v6);
	const uint8_t *numbers = v6 ? number6 : number4;

	for (size_t i = 0; names[i]; i++)
		if (numbers[i] == type)
			return names[i];
	return NULL;
}

static const struct {
	const char *name;
	uint8_t number;
} protocols[] = {
	{ "TCP", IPPROTO_TCP },	  { "UDP", IPPROTO_UDP },   { "SCTP", IPPROTO_SCTP },
	{ "ANY", PK_PROTO_ANY },  { "ICMP", IPPROTO_ICMP }, { "ICMPv6", IPPROTO_ICMPV6 },
	{ "GRE", IPPROTO_GRE },	  { "ESP", IPPROTO_ESP },   { "AH", IPPROTO_AH },
	{ "IPIP", IPPROTO_IPIP },
};

int pk_protocol_parse(const char *text, uint8_t *out)
{
	uint64_t number;

	for (size_t i = 0; i < PK_ARRAY_LEN(protocols); i++)
		if (strcasecmp(text, protocols[i].name) == 0) {
			*out = protocols[i].number;
			return 0;
		}
	/* 0 is only a header's number, 255 is reserved and means ANY inside. */
	if (*text == '0' || pk_parse_u64(text, 254, &number) < 0)
		return -EINVAL;
	*out = (uint8_t)number;
	return 0;
}

const char *pk_protocol_name(uint8_t proto)
{
	for (size_t i = 0; i < PK_ARRAY_LEN(protocols); i++)
		if (protocols[i].number == proto)
			return protocols[i].name;
	return NULL;
}

bool pk_protocol_has_ports(uint8_t proto)
{
	return proto == IPPROTO_TCP || proto == IPPROTO_UDP || proto == IPPROTO_SCTP ||
	       proto == PK_PROTO_ANY;
}
