/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What one guest's flood costs its neighbours: round trips between two taps while a third one, on
 * another processor, writes one kind of frame as fast as it can.
 *
 *   neighbour --kind KIND --rounds R --trips N PATH FLOOD…
 * PATH as for taps. A FLOOD is NAME,NETNS,TAP,MAC,IP,DST_IP,DST_MAC,GATEWAY_IP; rounds go over all of
 * them in turn. One thread writes at A, reads at B, writes the answer there and reads it at A, so that
 * no queue overflows and what is measured is the path. Prints {"NAME":{"p50":[one a round],"p99":…,
 * "lost":…,"flooded":frames a second},…}.
 */
#include <getopt.h>
#include <netinet/ip_icmp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "tap.h"

#define SIZE	   64
#define FLOODS_MAX 4
#define ROUNDS_MAX 100
#define TRIPS_MAX  200000
#define PATIENCE   1000000000u /* ns */
#define FRAME_MAX  400

struct flood {
	const char *name;
	int fd;
	uint8_t frame[VNET + FRAME_MAX];
	size_t len;
	struct end from, to;
	struct in_addr gateway;
	uint8_t via[6];
	uint64_t p50[ROUNDS_MAX], p99[ROUNDS_MAX], lost, frames, ns;
};

static struct {
	int a, b;
	uint8_t ask[VNET + SIZE], answer[VNET + SIZE];
	atomic_bool over;
	uint64_t trip[TRIPS_MAX];
} n;

static void open_path(char *spec)
{
	struct end a = { .port = 4000 }, b = { .port = 8080 };
	uint8_t via[6];
	char *part[10];

	split(spec, part, 10);
	n.a = open_tap(part[1], part[2]);
	n.b = open_tap(part[5], part[6]);
	parse_mac(part[3], a.mac);
	parse_mac(part[7], b.mac);
	parse_mac(part[9], via);
	if (!inet_aton(part[4], &a.ip) || !inet_aton(part[8], &b.ip))
		die("address");
	build_udp(n.ask, SIZE, via, &a, &b);
	build_udp(n.answer, SIZE, via, &b, &a);
}

/* The kinds: each makes the frame, and what of it is another in each one is its turn. */
static void make_udp(struct flood *f)
{
	f->len = SIZE;
	build_udp(f->frame, SIZE, f->via, &f->from, &f->to);
	memset(f->frame + VNET + 40, 0, 2);
}

static void make_spoofed(struct flood *f)
{
	make_udp(f);
	f->frame[VNET + 11]++;
}

static void make_malformed(struct flood *f)
{
	make_udp(f);
	f->frame[VNET + 14] = 0x44;
}

static void make_first_piece(struct flood *f)
{
	struct iphdr *ip = (void *)(f->frame + VNET + 14);

	make_udp(f);
	f->len += 2; /* cut at a multiple of eight */
	ip->tot_len = htons((uint16_t)(f->len - 14));
	ip->frag_off = htons(0x2000);
	ip->check = 0;
	ip->check = fold(sum16(ip, sizeof(*ip), 0));
}

static void make_arp(struct flood *f)
{
	uint8_t *eth = f->frame + VNET;
	static const uint8_t head[] = { 0, 1, 8, 0, 6, 4, 0, 1 };

	f->len = 42;
	memset(eth, 0xff, 6);
	memcpy(eth + 6, f->from.mac, 6);
	eth[12] = 8, eth[13] = 6;
	memcpy(eth + 14, head, sizeof(head));
	memcpy(eth + 22, f->from.mac, 6);
	memcpy(eth + 28, &f->from.ip, 4);
	memcpy(eth + 38, &f->gateway, 4);
}

static void make_ping(struct flood *f)
{
	struct iphdr *ip = (void *)(f->frame + VNET + 14);
	struct icmphdr *icmp = (void *)(ip + 1);

	make_udp(f);
	ip->protocol = IPPROTO_ICMP;
	ip->daddr = f->gateway.s_addr;
	ip->check = 0;
	ip->check = fold(sum16(ip, sizeof(*ip), 0));
	memset(icmp, 0, SIZE - 34);
	icmp->type = ICMP_ECHO;
	icmp->un.echo.id = 7;
	icmp->checksum = fold(sum16(icmp, SIZE - 34, 0));
}

static void make_dhcp(struct flood *f)
{
	struct end to = { .ip.s_addr = INADDR_BROADCAST, .port = 67 };
	uint8_t *bootp = f->frame + VNET + 42;

	f->len = 42 + 244;
	f->from.port = 68;
	memset(bootp, 0, 244);
	bootp[0] = bootp[1] = 1;
	bootp[2] = 6;
	memcpy(bootp + 28, f->from.mac, 6);
	memcpy(bootp + 236, "\x63\x82\x53\x63\x35\x01\x01\xff", 8);
	build_udp(f->frame, f->len, (uint8_t[6]){ 255, 255, 255, 255, 255, 255 }, &f->from, &to);
}

static void same(struct flood *f, uint64_t nr)
{
	(void)f;
	(void)nr;
}

/* Another flow each time, denied or new. */
static void another_port(struct flood *f, uint64_t nr)
{
	uint16_t ports[2] = { htons((uint16_t)(1024 + nr % 60000)),
			      htons((uint16_t)(1 + nr / 60000 % 60000)) };

	memcpy(f->frame + VNET + 34, ports, 4);
}

static void another_id(struct flood *f, uint64_t nr)
{
	struct iphdr *ip = (void *)(f->frame + VNET + 14);

	ip->id = (uint16_t)nr;
	ip->check = 0;
	ip->check = fold(sum16(ip, sizeof(*ip), 0));
}

static const struct kind {
	const char *name;
	void (*make)(struct flood *f);
	void (*turn)(struct flood *f, uint64_t nr);
} kinds[] = {
	{ "udp", make_udp, same },
	{ "flows", make_udp, another_port },
	{ "spoofed", make_spoofed, same },
	{ "malformed", make_malformed, same },
	{ "pieces", make_first_piece, another_id },
	{ "arp", make_arp, same },
	{ "ping", make_ping, same },
	{ "dhcp", make_dhcp, same },
};
static const struct kind *kind;

static void open_flood(struct flood *f, char *spec)
{
	char *part[8];

	split(spec, part, 8);
	f->name = part[0];
	f->fd = open_tap(part[1], part[2]);
	parse_mac(part[3], f->from.mac);
	parse_mac(part[6], f->via);
	f->from.port = 5000;
	f->to.port = 9;
	if (!inet_aton(part[4], &f->from.ip) || !inet_aton(part[5], &f->to.ip) ||
	    !inet_aton(part[7], &f->gateway))
		die("address");
	kind->make(f);
}

static void on_processor(int nr)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(nr, &set);
	if (sched_setaffinity(0, sizeof(set), &set) < 0)
		die("sched_setaffinity");
}

static void *flooding(void *arg)
{
	struct flood *f = arg;
	uint8_t answer[2048];
	uint64_t begun;

	on_processor(1);
	begun = clock_ns(CLOCK_MONOTONIC);
	for (uint64_t nr = 0; !n.over; nr++, f->frames++) {
		kind->turn(f, nr);
		if (write(f->fd, f->frame, VNET + f->len) < 0 && errno != EAGAIN)
			die("flood");
		if (nr % 32 == 0)
			while (read(f->fd, answer, sizeof(answer)) > 0)
				;
	}
	f->ns += clock_ns(CLOCK_MONOTONIC) - begun;
	return NULL;
}

/* The frame is at the tap within a second; what else is there is left out of account. */
static bool comes(int fd, const uint8_t *frame)
{
	uint64_t until = clock_ns(CLOCK_MONOTONIC) + PATIENCE;
	uint8_t got[2048];

	while (clock_ns(CLOCK_MONOTONIC) < until)
		if (read(fd, got, sizeof(got)) == VNET + SIZE &&
		    !memcmp(got + VNET + 34, frame + VNET + 34, 4))
			return true;
	return false;
}

static bool trip(void)
{
	return write(n.a, n.ask, sizeof(n.ask)) == sizeof(n.ask) && comes(n.b, n.ask) &&
	       write(n.b, n.answer, sizeof(n.answer)) == sizeof(n.answer) && comes(n.a, n.answer);
}

static void round_of(struct flood *f, int nr, int trips)
{
	pthread_t thread;
	uint64_t begun;

	n.over = false;
	if (pthread_create(&thread, NULL, flooding, f))
		die("pthread_create");
	for (int i = 0; i < trips; i++) {
		begun = clock_ns(CLOCK_MONOTONIC);
		f->lost += !trip();
		n.trip[i] = clock_ns(CLOCK_MONOTONIC) - begun;
	}
	n.over = true;
	pthread_join(thread, NULL);
	qsort(n.trip, (size_t)trips, sizeof(*n.trip), by_size);
	f->p50[nr] = n.trip[trips / 2];
	f->p99[nr] = n.trip[(size_t)trips * 99 / 100];
}

static void say_all(const char *name, const uint64_t *figure, int rounds)
{
	printf("\"%s\":[", name);
	for (int i = 0; i < rounds; i++)
		printf("%s%lu", i ? "," : "", figure[i]);
	printf("],");
}

static void say(const struct flood *f, int rounds, bool first)
{
	printf("%s\"%s\":{", first ? "{" : ",", f->name);
	say_all("p50", f->p50, rounds);
	say_all("p99", f->p99, rounds);
	printf("\"lost\":%lu,\"flooded\":%.0f}", f->lost, (double)f->frames * 1e9 / (double)f->ns);
}

int main(int argc, char **argv)
{
	static const struct option options[] = { { "kind", 1, NULL, 'k' },
						 { "rounds", 1, NULL, 'r' },
						 { "trips", 1, NULL, 't' },
						 { 0 } };
	static struct flood floods[FLOODS_MAX];
	int o, rounds = 7, trips = 20000, count;

	while ((o = getopt_long(argc, argv, "", options, NULL)) != -1) {
		for (size_t i = 0; o == 'k' && i < sizeof(kinds) / sizeof(*kinds); i++)
			kind = strcmp(optarg, kinds[i].name) ? kind : &kinds[i];
		if (o == 'r')
			rounds = atoi(optarg);
		if (o == 't')
			trips = atoi(optarg);
	}
	count = argc - optind - 1;
	if (!kind || count < 1 || count > FLOODS_MAX || rounds < 1 || rounds > ROUNDS_MAX ||
	    trips < 100 || trips > TRIPS_MAX) {
		fprintf(stderr,
			"usage: neighbour --kind KIND [--rounds R] [--trips N] PATH FLOOD…\n");
		return 2;
	}
	open_path(argv[optind]);
	for (int i = 0; i < count; i++)
		open_flood(&floods[i], argv[optind + 1 + i]);
	on_processor(0);
	for (int tries = 0; !trip() && tries < 10; tries++)
		; /* a guest's tap takes a moment to carry */
	for (int r = 0; r < rounds; r++)
		for (int i = 0; i < count; i++)
			round_of(&floods[i], r, trips);
	for (int i = 0; i < count; i++)
		say(&floods[i], rounds, !i);
	printf("}\n");
	return 0;
}
