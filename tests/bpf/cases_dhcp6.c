// SPDX-License-Identifier: Apache-2.0
/* DHCPv6's answers, whole frames byte for byte: every message of RFC 8415, right and wrong. */
#include <stdio.h>
#include <string.h>

#include "tests/bpf/node.h"

#define L3	 14
#define MESSAGE	 (L3 + 48)
#define OF(text) text, sizeof(text) - 1

#define XID	  "\x12\x34\x56"
#define CLIENT	  "\0\1\0\x0a\0\3\0\1\2\x70\0\0\0\x0b"
#define SERVER	  "\0\2\0\x0a\0\3\0\1\2\x70\x6b\0\0\1"
#define SERVER2	  "\0\2\0\x0a\0\3\0\1\2\x70\x6b\0\0\2"
#define SERVER9	  "\0\2\0\x09\0\3\0\1\2\x70\x6b\0\0"
#define RAPID	  "\0\x0e\0\0"
#define ELAPSED	  "\0\x08\0\2\0\0"
#define WISHES	  "\0\6\0\4\0\x17\0\x18"
#define IA(len)	  "\0\3\0" len "\x0a\x0b\x0c\x0d"
#define ZERO8	  "\0\0\0\0\0\0\0\0"
#define EMPTY	  IA("\x0c") ZERO8
#define OWN	  "\xfd\0\0\x20\0\0\0\0\0\0\0\0\0\0\0\x0b"
#define OTHERS	  "\xfd\0\0\x20\0\0\0\0\0\0\0\0\0\0\0\x0c"
#define ADDRESS	  "\0\5\0\x18"
#define HAS_OWN	  IA("\x28") ZERO8 ADDRESS OWN ZERO8
#define HAS_OTHER IA("\x28") ZERO8 ADDRESS OTHERS ZERO8
#define HAS_BOTH  IA("\x44") ZERO8 ADDRESS OWN ZERO8 ADDRESS OTHERS ZERO8
#define TIMES	  "\0\0\xa8\xc0\0\1\x0e\0"
#define LIFE	  "\0\1\x51\x80\0\1\x51\x80"
#define LEASE	  IA("\x28") TIMES ADDRESS OWN LIFE
#define MOVED	  IA("\x44") TIMES ADDRESS OWN LIFE ADDRESS OTHERS ZERO8
#define DNS	  "\0\x17\0\x10\xfd\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x53"
#define SEARCH	  "\0\x18\0\6\1a\2bc\0"
#define TOLD	  DNS SEARCH
#define STATUS(s) "\0\x0d\0\2\0" s
/* A second IA_NA, an IA_TA and an IA_PD, and what each is told. */
#define IA2	 "\0\3\0\x0c\0\0\0\2" ZERO8
#define IA5	 "\0\3\0\x0c\0\0\0\5" ZERO8
#define IA_TA	 "\0\4\0\4\0\0\0\3"
#define IA_PD	 "\0\x19\0\x0c\0\0\0\4" ZERO8
#define NO2(s)	 "\0\3\0\x12\0\0\0\2" ZERO8 STATUS(s)
#define NO_TA(s) "\0\4\0\x0a\0\0\0\3" STATUS(s)
#define NO_PD(s) "\0\x19\0\x12\0\0\0\4" ZERO8 STATUS(s)

static const struct pk_answers told = {
	.dhcp6_len = sizeof(TOLD) - 1,
	.dhcp6 = TOLD,
};

static struct pkt wanted(const char *message, size_t n, const union pk_addr *to)
{
	struct pkt p = pkt_v6_to(WHO_GATEWAY, to, (struct l4){ 17, 547, 546, 0, n });

	pkt_mac(WHO_A, p.b);
	p.b[L3 + 7] = 255;
	memcpy(p.b + MESSAGE, message, n);
	pkt_seal(&p);
	return p;
}

static void same(const char *text, struct pkt p, const struct pkt *want)
{
	struct expect e = { text, PK_REASON_OK, 1, PK_EGRESS, false };

	node_bucket_set(1, PK_BUCKET_ANSWERS, 100, 0);
	if (!node_expect(&e, NODE_FROM, 1, &p, NULL))
		return;
	for (size_t i = 0; i < want->len && i < p.len; i++)
		if (p.b[i] != want->b[i]) {
			printf("  byte %zu is %02x, not %02x\n", i, p.b[i], want->b[i]);
			break;
		}
	check(text, p.len == want->len && !memcmp(p.b, want->b, p.len));
}

static const union pk_addr link_local = { .b = { 0xfe, 0x80, [15] = WHO_A } };

struct exchange {
	const char *text;
	const char *ask;
	size_t n;
	const char *answer;
	size_t n_answer;
};

static void run(const struct exchange *x)
{
	struct pkt want = wanted(x->answer, x->n_answer, &link_local);

	same(x->text, pkt_dhcp6(WHO_A, x->ask, x->n), &want);
}

static void exchanges(void)
{
	static const struct exchange list[] = {
		{ "SOLICIT", OF("\1" XID CLIENT EMPTY), OF("\2" XID TOLD SERVER CLIENT LEASE) },
		{ "SOLICIT with wishes and a time", OF("\1" XID ELAPSED WISHES HAS_OTHER CLIENT),
		  OF("\2" XID TOLD SERVER CLIENT LEASE) },
		{ "SOLICIT with rapid commit", OF("\1" XID RAPID CLIENT EMPTY),
		  OF("\7" XID TOLD SERVER CLIENT LEASE RAPID) },
		{ "SOLICIT of more than one address", OF("\1" XID CLIENT EMPTY IA2 IA_TA IA_PD),
		  OF("\2" XID TOLD SERVER CLIENT LEASE NO2("\2") NO_TA("\2") NO_PD("\6")) },
		{ "SOLICIT of a prefix", OF("\1" XID CLIENT IA_PD),
		  OF("\2" XID TOLD SERVER CLIENT NO_PD("\6")) },
		{ "SOLICIT of six addresses", OF("\1" XID CLIENT EMPTY IA2 IA2 IA2 IA2 IA5),
		  OF("\2" XID TOLD SERVER CLIENT LEASE NO2("\2") NO2("\2") NO2("\2") NO2("\2")) },
		{ "REQUEST", OF("\3" XID CLIENT SERVER HAS_OWN),
		  OF("\7" XID TOLD SERVER CLIENT LEASE) },
		{ "REQUEST of another's address", OF("\3" XID CLIENT SERVER HAS_OTHER),
		  OF("\7" XID TOLD SERVER CLIENT LEASE) },
		{ "REQUEST doesn't commit rapidly", OF("\3" XID CLIENT SERVER RAPID HAS_OWN),
		  OF("\7" XID TOLD SERVER CLIENT LEASE) },
		{ "RENEW", OF("\5" XID CLIENT SERVER HAS_OWN),
		  OF("\7" XID TOLD SERVER CLIENT LEASE) },
		{ "RENEW of another's address beside it", OF("\5" XID CLIENT SERVER HAS_BOTH IA_PD),
		  OF("\7" XID TOLD SERVER CLIENT MOVED NO_PD("\3")) },
		{ "REBIND of another's address", OF("\6" XID CLIENT HAS_OTHER),
		  OF("\7" XID TOLD SERVER CLIENT MOVED) },
		{ "REBIND", OF("\6" XID CLIENT HAS_OWN), OF("\7" XID TOLD SERVER CLIENT LEASE) },
		{ "CONFIRM of its address", OF("\4" XID CLIENT HAS_OWN),
		  OF("\7" XID SERVER CLIENT STATUS("\0")) },
		{ "CONFIRM of another's", OF("\4" XID CLIENT HAS_OTHER),
		  OF("\7" XID SERVER CLIENT STATUS("\4")) },
		{ "CONFIRM of both", OF("\4" XID CLIENT HAS_BOTH),
		  OF("\7" XID SERVER CLIENT STATUS("\4")) },
		{ "RELEASE", OF("\x08" XID CLIENT SERVER HAS_OWN),
		  OF("\7" XID SERVER CLIENT STATUS("\0")) },
		{ "RELEASE of what it doesn't have", OF("\x08" XID CLIENT SERVER HAS_OWN IA2),
		  OF("\7" XID SERVER CLIENT NO2("\3") STATUS("\0")) },
		{ "DECLINE", OF("\x09" XID CLIENT SERVER HAS_OWN),
		  OF("\7" XID SERVER CLIENT STATUS("\0")) },
		{ "INFORMATION-REQUEST", OF("\x0b" XID CLIENT WISHES),
		  OF("\7" XID TOLD SERVER CLIENT) },
		{ "INFORMATION-REQUEST without an identifier", OF("\x0b" XID WISHES),
		  OF("\7" XID TOLD SERVER) },
		{ "INFORMATION-REQUEST of this server", OF("\x0b" XID SERVER),
		  OF("\7" XID TOLD SERVER) },
		{ "the status in an address is nobody's",
		  OF("\5" XID CLIENT SERVER IA("\x34") ZERO8 "\0\5\0\x1e" OWN ZERO8 STATUS("\0")
			     STATUS("\0")),
		  OF("\7" XID TOLD SERVER CLIENT LEASE) },
	};

	for (size_t i = 0; i < sizeof(list) / sizeof(*list); i++)
		run(&list[i]);
}

/* What isn't answered, and why. */
static void silent(void)
{
	static const struct {
		const char *text;
		const char *ask;
		size_t n;
		enum pk_reason reason;
	} list[] = {
		{ "3 bytes", OF("\1\2\3"), PK_REASON_TRUNCATED },
		{ "an ADVERTISE", OF("\2" XID CLIENT SERVER), PK_REASON_SPOOFED_DHCP },
		{ "a REPLY", OF("\7" XID CLIENT SERVER), PK_REASON_SPOOFED_DHCP },
		{ "a RECONFIGURE", OF("\x0a" XID CLIENT SERVER), PK_REASON_SPOOFED_DHCP },
		{ "a relay's message", OF("\x0c" XID CLIENT), PK_REASON_SPOOFED_DHCP },
		{ "a relay's answer", OF("\x0d" XID CLIENT), PK_REASON_SPOOFED_DHCP },
		{ "no type", OF("\0" XID CLIENT), PK_REASON_MULTICAST },
		{ "a type that nobody knows", OF("\x0e" XID CLIENT), PK_REASON_MULTICAST },
		{ "SOLICIT without an identifier", OF("\1" XID EMPTY), PK_REASON_MALFORMED },
		{ "SOLICIT of a server", OF("\1" XID CLIENT SERVER EMPTY), PK_REASON_MALFORMED },
		{ "CONFIRM of a server", OF("\4" XID CLIENT SERVER HAS_OWN), PK_REASON_MALFORMED },
		{ "REBIND of a server", OF("\6" XID CLIENT SERVER HAS_OWN), PK_REASON_MALFORMED },
		{ "REQUEST of no server", OF("\3" XID CLIENT HAS_OWN), PK_REASON_MALFORMED },
		{ "RENEW of no server", OF("\5" XID CLIENT HAS_OWN), PK_REASON_MALFORMED },
		{ "RELEASE of no server", OF("\x08" XID CLIENT HAS_OWN), PK_REASON_MALFORMED },
		{ "DECLINE of no server", OF("\x09" XID CLIENT HAS_OWN), PK_REASON_MALFORMED },
		{ "REQUEST of another server", OF("\3" XID CLIENT SERVER2 HAS_OWN),
		  PK_REASON_MULTICAST },
		{ "REQUEST of a shorter server", OF("\3" XID CLIENT SERVER9 HAS_OWN),
		  PK_REASON_MULTICAST },
		{ "REQUEST of two servers", OF("\3" XID CLIENT SERVER SERVER HAS_OWN),
		  PK_REASON_MALFORMED },
		{ "INFORMATION-REQUEST of another server", OF("\x0b" XID SERVER2),
		  PK_REASON_MULTICAST },
		{ "INFORMATION-REQUEST of an address", OF("\x0b" XID CLIENT EMPTY),
		  PK_REASON_MALFORMED },
		{ "INFORMATION-REQUEST of a prefix", OF("\x0b" XID CLIENT IA_PD),
		  PK_REASON_MALFORMED },
		{ "CONFIRM of no address", OF("\4" XID CLIENT EMPTY), PK_REASON_MULTICAST },
		{ "two identifiers", OF("\1" XID CLIENT CLIENT), PK_REASON_MALFORMED },
		{ "an option's begin at the end", OF("\1" XID CLIENT "\0\6\0"),
		  PK_REASON_MALFORMED },
		{ "an option beyond the end", OF("\1" XID CLIENT "\0\6\0\3\0\x17"),
		  PK_REASON_MALFORMED },
		{ "an address outside", OF("\1" XID CLIENT ADDRESS OWN ZERO8),
		  PK_REASON_MALFORMED },
		{ "an address of 23 bytes",
		  OF("\4" XID CLIENT IA("\x27") ZERO8 "\0\5\0\x17" OWN "\0\0\0\0\0\0\0"),
		  PK_REASON_MALFORMED },
		{ "an address beyond its IA",
		  OF("\1" XID CLIENT IA("\x27") ZERO8 ADDRESS OWN ZERO8), PK_REASON_MALFORMED },
		{ "an IA of 11 bytes", OF("\1" XID CLIENT IA("\x0b") "\0\0\0\0\0\0\0"),
		  PK_REASON_MALFORMED },
		{ "an IA_TA of 3 bytes", OF("\1" XID CLIENT "\0\4\0\3\0\0\0"),
		  PK_REASON_MALFORMED },
		{ "an IA_PD of 11 bytes",
		  OF("\1" XID CLIENT "\0\x19\0\x0b"
		     "\0\0\0\4\0\0\0\0\0\0\0"),
		  PK_REASON_MALFORMED },
		{ "an IA in an IA", OF("\1" XID CLIENT IA("\x1c") ZERO8 EMPTY),
		  PK_REASON_MALFORMED },
		{ "an IA_TA in an IA", OF("\1" XID CLIENT IA("\x14") ZERO8 IA_TA),
		  PK_REASON_MALFORMED },
		{ "an IA_PD in an IA", OF("\1" XID CLIENT IA("\x1c") ZERO8 IA_PD),
		  PK_REASON_MALFORMED },
	};
	char text[64];

	for (size_t i = 0; i < sizeof(list) / sizeof(*list); i++) {
		snprintf(text, sizeof(text), "DHCPv6: %s", list[i].text);
		node_from(text, 1, pkt_dhcp6(WHO_A, list[i].ask, list[i].n), list[i].reason);
	}
}

/* A client's identifier has 3 to 130 bytes, and comes back as it is. */
static void identifiers(void)
{
	char ask[200] = "\1" XID "\0\1", want[300] = "\2" XID;
	const size_t before = 4 + sizeof(TOLD SERVER) - 1;
	char text[64];

	memcpy(want + 4, OF(TOLD SERVER));
	for (size_t len = 0; len <= 132; len++) {
		struct exchange x = { text, ask, 8 + len, want, before + 4 + len };

		ask[7] = (char)len;
		memset(ask + 8, (int)(len ^ 0x55), len);
		memcpy(want + before, ask + 4, 4 + len);
		snprintf(text, sizeof(text), "an identifier of %zu bytes", len);
		if (len >= 3 && len <= 130)
			run(&x);
		else
			node_from(text, 1, pkt_dhcp6(WHO_A, ask, 8 + len), PK_REASON_MALFORMED);
	}
}

/* 48 options are looked at. */
static void many(void)
{
	char ask[300] = "\1" XID CLIENT;

	for (size_t n = 46; n < 49; n++) {
		struct exchange x = { "as many options as are looked at", ask, 18 + 4 * n,
				      OF("\2" XID TOLD SERVER CLIENT) };

		for (size_t i = 0; i < n; i++)
			memcpy(ask + 18 + 4 * i, "\0\x27\0\0", 4);
		if (n < 48)
			run(&x);
		else
			node_from("more options than are looked at", 1, pkt_dhcp6(WHO_A, ask, x.n),
				  PK_REASON_MALFORMED);
	}
}

/* To the server alone nobody sends who hasn't been told that he may (RFC 8415 18.4). */
static void unicast(void)
{
	static const char release[] = "\x08" XID CLIENT SERVER HAS_OWN;
	static const char rebind[] = "\6" XID CLIENT HAS_OWN;
	static const char information[] = "\x0b" XID SERVER;
	union pk_addr gateway = pkt_ip6(WHO_GATEWAY), own = pkt_ip6(WHO_A);
	struct pkt p = pkt_dhcp6(WHO_A, release, sizeof(release) - 1), want;

	memcpy(p.b, "\2\x70\x6b\0\0\1", 6);
	memcpy(p.b + L3 + 24, gateway.b, 16);
	memcpy(p.b + L3 + 8, own.b, 16);
	pkt_seal(&p);
	want = wanted(OF("\7" XID SERVER CLIENT STATUS("\5")), &own);
	same("RELEASE to the gateway alone", p, &want);
	p = pkt_dhcp6(WHO_A, rebind, sizeof(rebind) - 1);
	memcpy(p.b + L3 + 24, gateway.b, 16);
	pkt_seal(&p);
	node_from("REBIND to the gateway alone", 1, p, PK_REASON_MULTICAST);
	p = pkt_dhcp6(WHO_A, information, sizeof(information) - 1);
	memcpy(p.b + L3 + 24, gateway.b, 16);
	pkt_seal(&p);
	node_from("INFORMATION-REQUEST to the gateway alone", 1, p, PK_REASON_MULTICAST);
	p = pkt_dhcp6(WHO_A, OF("\1" XID CLIENT));
	p.b[L3 + 41] = 0x23;
	pkt_seal(&p);
	node_from("SOLICIT from another port", 1, p, PK_REASON_SPOOFED_DHCP);
}

/* All that an answer can hold: 256 bytes of what is told, 130 of an identifier, five IAs. */
static void longest(const uint8_t *dhcp6)
{
	static char ask[400] = "\5" XID SERVER "\0\1\0\x82", want[700] = "\7" XID;
	const size_t client = 4 + 14, told_len = sizeof(told.dhcp6);
	struct exchange x = { "the longest answer", ask, client + 134, want, 4 + told_len };

	memset(ask + client + 4, 0x5a, 130);
	memcpy(ask + x.n, OF(HAS_BOTH IA2 IA2 IA2 IA_PD));
	x.n += sizeof(HAS_BOTH IA2 IA2 IA2 IA_PD) - 1;
	memcpy(want + 4, dhcp6, told_len);
	memcpy(want + x.n_answer, OF(SERVER));
	memcpy(want + x.n_answer + 14, ask + client, 134);
	x.n_answer += 14 + 134;
	memcpy(want + x.n_answer, OF(MOVED NO2("\3") NO2("\3") NO2("\3") NO_PD("\3")));
	x.n_answer += sizeof(MOVED NO2("\3") NO2("\3") NO2("\3") NO_PD("\3")) - 1;
	run(&x);
}

static void what_is_told(void)
{
	struct pk_answers full = told;
	struct pk_endpoint ep;
	char want[400] = "\7" XID;
	struct pkt p = pkt_dhcp6(WHO_A, OF("\x0b" XID CLIENT)), w;

	full.dhcp6_len = sizeof(full.dhcp6);
	for (size_t i = 0; i < sizeof(full.dhcp6); i++)
		full.dhcp6[i] = (uint8_t)(i + 3);
	memcpy(want + 4, full.dhcp6, sizeof(full.dhcp6));
	memcpy(want + 4 + sizeof(full.dhcp6), OF(SERVER CLIENT));
	node_answers_set(1, &full);
	w = wanted(want, 4 + sizeof(full.dhcp6) + 28, &link_local);
	same("as much as there is room for", p, &w);
	longest(full.dhcp6);
	node_answers_set(1, &node_untold);
	w = wanted(OF("\7" XID SERVER CLIENT), &link_local);
	same("nothing to tell", p, &w);
	node_endpoint(1, &ep);
	memset(&ep.ipv6, 0, sizeof(ep.ipv6));
	node_endpoint_set(1, &ep);
	node_from("DHCPv6 of an endpoint without IPv6", 1, p, PK_REASON_MULTICAST);
}

void cases_dhcp6(void)
{
	node_reset();
	node_answers_set(1, &told);
	exchanges();
	silent();
	identifiers();
	many();
	unicast();
	what_is_told();
	node_reset();
}
