/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long a guest waits for its address: DISCOVER to ACK, at the tap, one after the other.
 *
 *   dhcp --rounds R PATH…
 * A path is NAME,NETNS,TAP,MAC. Rounds go over all paths in turn. Prints {"NAME":{"ns":[one a
 * round, the median of its leases]},…}.
 */
#include <getopt.h>
#include <stdbool.h>
#include <stddef.h>

#include "tap.h"

#define PATHS_MAX  4
#define ROUNDS_MAX 100
#define PATIENCE   UINT64_C(500000000)
#define TRIES	   40
#define COUNT	   40	   /* leases a round: the guard answers an endpoint so often at once, … */
#define PAUSE_US   1500000 /* … and again after a while */
#define HEADERS	   (sizeof(struct ether_header) + sizeof(struct iphdr) + sizeof(struct udphdr))
#define COOKIE	   0x63825363
#define DISCOVER   1
#define OFFER	   2
#define REQUEST	   3
#define ACK	   5

struct bootp {
	uint8_t op, htype, hlen, hops;
	uint32_t xid;
	uint16_t secs, flags;
	uint32_t ciaddr, yiaddr, siaddr, giaddr;
	uint8_t chaddr[16], sname[64], file[128];
	uint32_t cookie;
	uint8_t options[60];
};

struct path {
	const char *name;
	int fd;
	uint8_t mac[6];
	uint64_t ns[ROUNDS_MAX];
};

static const uint8_t everybody[6] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };

static uint8_t *put(uint8_t *at, uint8_t option, const void *value, uint8_t len)
{
	*at++ = option;
	*at++ = len;
	memcpy(at, value, len);
	return at + len;
}

/* server and address: those of the offer that is taken; NULL: none yet. */
static void say(const struct path *p, uint32_t xid, uint8_t type, const uint32_t *server,
		const uint32_t *address)
{
	static const uint8_t asked[] = { 1, 3, 6, 26 };
	uint8_t out[VNET + HEADERS + sizeof(struct bootp)] = { 0 };
	struct bootp *m = (void *)(out + VNET + HEADERS);
	const struct end any = { .port = 67, .ip.s_addr = INADDR_BROADCAST };
	struct end guest = { .port = 68 };
	uint8_t *at = m->options;

	memcpy(guest.mac, p->mac, 6);
	*m = (struct bootp){ .op = 1,
			     .htype = 1,
			     .hlen = 6,
			     .xid = xid,
			     .flags = htons(0x8000),
			     .cookie = htonl(COOKIE) };
	memcpy(m->chaddr, p->mac, 6);
	at = put(at, 53, &type, 1);
	if (server)
		at = put(at, 54, server, 4);
	if (address)
		at = put(at, 50, address, 4);
	at = put(at, 55, asked, sizeof(asked));
	*at = 255;
	build_udp(out, sizeof(out) - VNET, everybody, &guest, &any);
	if (write(p->fd, out, sizeof(out)) != (ssize_t)sizeof(out))
		die(p->name);
}

static const uint8_t *find(const struct bootp *m, const uint8_t *end, uint8_t option)
{
	const uint8_t *at = m->options;

	while (at + 2 <= end && *at != 255 && at + 2 + at[1] <= end) {
		if (*at == option)
			return at + 2;
		at += *at ? 2 + at[1] : 1;
	}
	return NULL;
}

/* Takes the answer of that type out of whatever else comes. False: none came. */
static bool hear(const struct path *p, uint32_t xid, uint8_t type, uint32_t *server,
		 uint32_t *address)
{
	const uint64_t until = clock_ns(CLOCK_MONOTONIC) + PATIENCE;
	uint8_t buf[2048];
	const struct bootp *m = (void *)(buf + VNET + HEADERS);

	while (clock_ns(CLOCK_MONOTONIC) < until) {
		ssize_t n = read(p->fd, buf, sizeof(buf));
		const uint8_t *said, *who;

		if (n < (ssize_t)(VNET + HEADERS + offsetof(struct bootp, options)) || m->op != 2 ||
		    m->xid != xid || m->cookie != htonl(COOKIE))
			continue;
		said = find(m, buf + n, 53);
		who = find(m, buf + n, 54);
		if (!said || *said != type || !who)
			continue;
		memcpy(server, who, 4);
		*address = m->yiaddr;
		return true;
	}
	return false;
}

/* The server and its address; a guest asks again where the link was only just coming up. */
static void discover(const struct path *p, uint32_t xid, uint32_t *server, uint32_t *address)
{
	for (int i = 0; i < TRIES; i++) {
		say(p, xid, DISCOVER, NULL, NULL);
		if (hear(p, xid, OFFER, server, address))
			return;
	}
	fprintf(stderr, "dhcp: %s: no answer\n", p->name);
	exit(1);
}

static uint64_t lease(const struct path *p)
{
	static uint32_t xid = 0x70000000;
	uint64_t start = clock_ns(CLOCK_MONOTONIC);
	uint32_t server, address;

	xid++;
	discover(p, xid, &server, &address);
	say(p, xid, REQUEST, &server, &address);
	if (!hear(p, xid, ACK, &server, &address))
		die("no ACK");
	return clock_ns(CLOCK_MONOTONIC) - start;
}

static uint64_t run_round(const struct path *p)
{
	uint64_t ns[COUNT];

	for (int i = 0; i < COUNT; i++)
		ns[i] = lease(p);
	qsort(ns, COUNT, sizeof(*ns), by_size);
	return ns[COUNT / 2];
}

static void open_path(struct path *p, char *spec)
{
	char *part[4];

	split(spec, part, 4);
	p->name = part[0];
	p->fd = open_tap(part[1], part[2]);
	parse_mac(part[3], p->mac);
}

int main(int argc, char **argv)
{
	static const struct option options[] = { { "rounds", 1, NULL, 'r' }, { 0 } };
	static struct path paths[PATHS_MAX];
	int o, n = 0, rounds = 9;

	while ((o = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (o != 'r')
			return 2;
		rounds = atoi(optarg);
	}
	if (rounds < 1 || rounds > ROUNDS_MAX)
		return 2;
	for (; optind < argc && n < PATHS_MAX; optind++)
		open_path(&paths[n++], argv[optind]);
	for (int r = 0; r < rounds; r++) {
		for (int i = 0; i < n; i++)
			paths[i].ns[r] = run_round(&paths[i]);
		usleep(PAUSE_US);
	}
	for (int i = 0; i < n; i++) {
		printf("%s\"%s\":{", i ? "," : "{", paths[i].name);
		print_figures("ns", paths[i].ns, rounds);
		printf("}");
	}
	printf("}\n");
	return 0;
}
