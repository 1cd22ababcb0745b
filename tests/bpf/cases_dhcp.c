// SPDX-License-Identifier: Apache-2.0
/* DHCPv4's answers, whole frames byte for byte: every state of RFC 2131, and what is told beside. */
#include <stdio.h>
#include <string.h>

#include "tests/bpf/node.h"
#include "tests/bpf/world.h"

#define L3	 14
#define BOOTP	 (L3 + 28)
#define DHCP	 (BOOTP + 240)
#define OF(text) text, sizeof(text) - 1

#define DISCOVER "\x35\x01\x01"
#define REQUEST	 "\x35\x01\x03"
#define INFORM	 "\x35\x01\x08"
#define OWN	 "\x32\x04\x0a\x14\x00\x0b"
#define OTHERS	 "\x32\x04\x0a\x14\x00\x0c"
#define GATEWAY	 "\x36\x04\x0a\x14\x00\x01"
#define CLIENT	 "\x3d\x07\x01\x02\x70\x00\x00\x00\x0b"
#define END	 "\xff"
#define NONE6	 "\0\0\0\0\0\0"
#define LEASE	 "\x33\x04\x00\x01\x51\x80"
#define REST                                                                                       \
	"\x01\x04\xff\xff\xff\x00"                                                                 \
	"\x03\x04\x0a\x14\x00\x01"                                                                 \
	"\x1a\x02\x05\xdc"                                                                         \
	"\0"
#define SERVERS                                                                                    \
	"\x06\x08\x0a\x00\x00\x35\x0a\x00\x00\x36"                                                 \
	"\0\0\0\0\0\0"
#define NOBODY16 "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
#define DOMAINS                                                                                    \
	"\x0f\x04"                                                                                 \
	"a.bc"                                                                                     \
	"\x77\x06"                                                                                 \
	"\1a\2bc\0"

static const struct pk_answers told = {
	.domains4_len = 14,
	.servers4 = SERVERS,
	.domains4 = DOMAINS,
};

static struct pkt ask(const char *options, size_t n)
{
	struct pkt p = pkt_dhcp(WHO_A, 1, 0, 0);

	memset(p.b + DHCP, 0, p.len - DHCP);
	if (n > p.len - DHCP)
		pkt_longer(&p, n - (p.len - DHCP));
	memcpy(p.b + DHCP, options, n);
	pkt_seal(&p);
	return p;
}

static void put_address(struct pkt *p, size_t off, enum who who)
{
	memcpy(p->b + off, pkt_ip4(who).b + 12, 4);
	pkt_seal(p);
}

/* The frame that answers `ask`: its head, to whom, and these options. */
static struct pkt wanted(const struct pkt *asked, const char *options, size_t n, uint32_t to)
{
	size_t room = n < 60 ? 60 : (n + 3) & ~3u;
	struct pkt p = pkt_v4_to(WHO_GATEWAY, to, (struct l4){ 17, 67, 68, 0, 240 + room });

	pkt_mac(WHO_A, p.b);
	memset(p.b + L3 + 6, 0, 2); /* it may be cut */
	memset(p.b + BOOTP, 0, 240 + room);
	memcpy(p.b + BOOTP, asked->b + BOOTP, 12);
	p.b[BOOTP] = 2;
	memset(p.b + BOOTP + 8, 0, 2);
	memcpy(p.b + BOOTP + 10, asked->b + BOOTP + 10, 2);
	memcpy(p.b + BOOTP + 28, asked->b + BOOTP + 28, 16);
	memcpy(p.b + DHCP - 4, "\x63\x82\x53\x63", 4);
	memcpy(p.b + DHCP, options, n);
	pkt_seal(&p);
	return p;
}

static void same(const char *text, struct pkt p, const struct pkt *want)
{
	struct expect e = { text, PK_REASON_OK, 1, PK_EGRESS, false };

	if (!node_expect(&e, NODE_FROM, 1, &p, NULL))
		return;
	for (size_t i = 0; i < want->len && i < p.len; i++)
		if (p.b[i] != want->b[i]) {
			printf("  byte %zu is %02x, not %02x\n", i, p.b[i], want->b[i]);
			break;
		}
	check(text, p.len == want->len && !memcmp(p.b, want->b, p.len));
}

static const uint32_t own = 0x0a14000b, everybody = 0xffffffff;

#define TYPE(t) "\x35\x01" t GATEWAY
#define OFFERED TYPE("\x02") LEASE REST SERVERS DOMAINS
#define ACKED	TYPE("\x05") LEASE REST SERVERS DOMAINS
/* What is not due is padding: a lease's rest, resolvers. */
#define NAKED                                                                                      \
	TYPE("\x06")                                                                               \
	NONE6 NONE6 NONE6 "\0\0\0\0"                                                               \
			  "\0" NOBODY16

static void states(void)
{
	struct pkt p = ask(OF(DISCOVER END)), want = wanted(&p, OF(OFFERED END), own);

	put_address(&want, BOOTP + 16, WHO_A);
	same("a discover is offered all", p, &want);
	p = ask(OF(DISCOVER CLIENT OTHERS END));
	want = wanted(&p, OF(OFFERED CLIENT END), own);
	put_address(&want, BOOTP + 16, WHO_A);
	same("a discover with an identifier and a wish gets it back, and its own address", p,
	     &want);
	p = ask(OF(REQUEST OWN GATEWAY CLIENT END));
	want = wanted(&p, OF(ACKED CLIENT END), own);
	put_address(&want, BOOTP + 16, WHO_A);
	same("SELECTING", p, &want);
	p = ask(OF(REQUEST OWN END));
	want = wanted(&p, OF(ACKED END), own);
	put_address(&want, BOOTP + 16, WHO_A);
	same("INIT-REBOOT", p, &want);
	p = ask(OF(REQUEST OTHERS CLIENT END));
	want = wanted(&p, OF(NAKED CLIENT END), everybody);
	same("INIT-REBOOT of another's address is refused", p, &want);
	p = ask(OF(REQUEST OTHERS GATEWAY END));
	want = wanted(&p, OF(NAKED END), everybody);
	same("SELECTING another's address is refused", p, &want);
}

static void states_of_bound(void)
{
	struct pkt p = ask(OF(REQUEST CLIENT END)), want;

	put_address(&p, BOOTP + 12, WHO_A);
	p.b[BOOTP + 10] = 0x80; /* it could take no unicast before it had an address */
	put_address(&p, L3 + 12, WHO_A);
	want = wanted(&p, OF(ACKED CLIENT END), own);
	put_address(&want, BOOTP + 12, WHO_A);
	put_address(&want, BOOTP + 16, WHO_A);
	same("RENEWING and REBINDING", p, &want);
	put_address(&p, BOOTP + 12, WHO_B);
	want = wanted(&p, OF(NAKED CLIENT END), everybody);
	same("RENEWING another's address is refused", p, &want);
	p = ask(OF(INFORM END));
	put_address(&p, BOOTP + 12, WHO_A);
	put_address(&p, L3 + 12, WHO_A);
	want = wanted(&p, OF(TYPE("\x05") NONE6 REST SERVERS DOMAINS END), own);
	put_address(&want, BOOTP + 12, WHO_A);
	same("INFORM gets no address and no lease", p, &want);
	put_address(&p, BOOTP + 16, WHO_B);
	same("nor back the one that its sender wrote where the server's is due", p, &want);
	node_from("DECLINE", 1, ask(OF("\x35\x01\x04" OWN GATEWAY END)), PK_REASON_MULTICAST);
	p = ask(OF("\x35\x01\x07" GATEWAY END));
	put_address(&p, BOOTP + 12, WHO_A);
	put_address(&p, L3 + 12, WHO_A);
	node_from("RELEASE", 1, p, PK_REASON_MULTICAST);
}

/* No client need take more than 548 bytes: domains give way to a long identifier. */
static void room(void)
{
	static struct pk_answers full;
	char options[400] = DISCOVER, answer[400];
	struct pkt p, want;
	char text[64];

	full = told;
	full.domains4_len = sizeof(full.domains4);
	for (size_t i = 0; i < sizeof(full.domains4); i++)
		full.domains4[i] = (uint8_t)(i + 1);
	node_answers_set(1, &full);
	for (size_t len = 1; len <= 255; len += len < 30 || (len > 36 && len < 250) ? 7 : 1) {
		bool fits = sizeof(full.domains4) + 2 + len + 1 <= 260;
		size_t n = sizeof(OFFERED) - 1 - (sizeof(DOMAINS) - 1);

		memset(options + 3, (int)len, 2 + len);
		options[3] = 61;
		options[4] = (char)len;
		options[5 + len] = -1;
		memcpy(answer, OFFERED, n);
		if (fits)
			memcpy(answer + n, full.domains4, sizeof(full.domains4));
		n += fits ? sizeof(full.domains4) : 0;
		memcpy(answer + n, options + 3, 2 + len + 1);
		p = ask(options, 6 + len);
		want = wanted(&p, answer, n + 3 + len, own);
		put_address(&want, BOOTP + 16, WHO_A);
		snprintf(text, sizeof(text), "an identifier of %zu bytes", len);
		node_bucket_set(1, PK_BUCKET_ANSWERS, 100, 0);
		same(text, p, &want);
	}
	p = ask(OF(DISCOVER "\x3d\x00" END));
	want = wanted(&p, OF(TYPE("\x02") LEASE REST NOBODY16 END), own);
	put_address(&want, BOOTP + 16, WHO_A);
	node_answers_set(1, &node_untold);
	same("an empty identifier, and nothing to tell", p, &want);
}

/* What isn't the message's own is no option of it. */
static void ends(void)
{
	struct pkt p = ask(OF("\0")), want;

	p.len += 3; /* a frame may be padded behind its packet */
	memcpy(p.b + p.len - 3, DISCOVER, 3);
	node_from("a type behind the datagram", 1, p, PK_REASON_MULTICAST);
	p = pkt_v4_to(WHO_A, 0xffffffff, (struct l4){ 17, 68, 67, 0, 243 });
	want = ask(OF(DISCOVER));
	memcpy(p.b, want.b, 6);
	memcpy(p.b + L3 + 12, want.b + L3 + 12, 4);
	memcpy(p.b + BOOTP, want.b + BOOTP, 243);
	pkt_seal(&p);
	node_from("a discover that ends with its type", 1, p, PK_REASON_OK);
	p.b[DHCP] = 61;
	p.b[DHCP + 1] = 2;
	pkt_seal(&p);
	node_from("an option beyond the end", 1, p, PK_REASON_MULTICAST);
	p = pkt_v4_to(WHO_A, 0xffffffff, (struct l4){ 17, 68, 67, 0, 242 });
	memcpy(p.b, want.b, 6);
	memcpy(p.b + L3 + 12, want.b + L3 + 12, 4);
	memcpy(p.b + BOOTP, want.b + BOOTP, 242);
	pkt_seal(&p);
	p.b[p.len++] = 1;
	node_from("a discover whose type is padding", 1, p, PK_REASON_MULTICAST);
	p = ask(OF(DISCOVER END));
	world_put_port(&p, L3 + 2, 20 + 8 + 239);
	world_put_port(&p, L3 + 24, 8 + 239);
	pkt_seal(&p);
	node_from("a message that ends before its options, in a frame that doesn't", 1, p,
		  PK_REASON_TRUNCATED);
}

void cases_dhcp(void)
{
	node_reset();
	node_answers_set(1, &told);
	states();
	states_of_bound();
	room();
	ends();
	node_reset();
}
