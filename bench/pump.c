/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every packet from one guest's tap to another's is accounted for: what always may go arrives, what
 * never may doesn't. One thread writes a burst at A and reads at B until its last frame has come,
 * so no queue overflows however busy the machine is.
 *
 *   pump --rate N PATH
 * PATH as for taps. Sends N packets a second, fewer where the machine doesn't let it, until its
 * standard input ends: seven of ten to port 1000, which is always allowed, one each to 2000 and 3000,
 * which come and go, and to 4000, which never is; every other burst in new flows. Prints "ready"
 * once packets arrive, and in the end {"sent":…,"seconds":…,"lost":…,"misjudged":…,"turns":…}: lost of those to 1000, misjudged to 4000;
 * turns: how often 2000 and 3000 changed places.
 */
#include <getopt.h>
#include <poll.h>
#include <stdbool.h>

#include "tap.h"

#define SIZE	 70
#define BURST	 30
#define FLOWS	 500		    /* ports that bursts in new flows come from, in turn */
#define PATIENCE 2000000000u	    /* ns */
#define NUMBER	 (VNET + SIZE - 12) /* where the burst's number and the packet's stand */

static const uint16_t ports[10] = { 4000, 1000, 2000, 1000, 3000, 1000, 1000, 1000, 1000, 1000 };

static struct {
	int a, b;
	uint8_t frame[10][VNET + SIZE];
	uint64_t sent, lost, misjudged, turns;
	uint16_t open; /* of the two that come and go */
} pump;

static void open_path(char *spec)
{
	struct end a = { .port = 7 }, b = {};
	uint8_t via[6];
	char *part[10];

	split(spec, part, 10);
	pump.a = open_tap(part[1], part[2]);
	pump.b = open_tap(part[5], part[6]);
	parse_mac(part[3], a.mac);
	parse_mac(part[9], via);
	if (!inet_aton(part[4], &a.ip) || !inet_aton(part[8], &b.ip))
		die("address");
	for (int i = 0; i < 10; i++) {
		b.port = ports[i];
		build_udp(pump.frame[i], SIZE, via, &a, &b);
		memset(pump.frame[i] + VNET + 40, 0, 2); /* UDP may go without a checksum */
	}
}

static void write_one(uint64_t burst, uint32_t nr)
{
	uint8_t *frame = pump.frame[nr % 10];
	uint16_t port = htons(burst % 2 ? (uint16_t)(8000 + burst / 2 % FLOWS) : 7);

	memcpy(frame + VNET + 34, &port, 2);
	memcpy(frame + NUMBER, &burst, 8);
	memcpy(frame + NUMBER + 8, &nr, 4);
	if (write(pump.a, frame, VNET + SIZE) != VNET + SIZE)
		die("write");
	pump.sent++;
}

/* A bit a packet of the burst that has come. */
static uint32_t read_all(uint64_t burst)
{
	uint64_t until = clock_ns(CLOCK_MONOTONIC) + PATIENCE, number;
	struct pollfd wait = { .fd = pump.b, .events = POLLIN };
	uint8_t frame[VNET + 2048];
	uint32_t came = 0, nr;

	while (!(came >> (BURST - 1)) && clock_ns(CLOCK_MONOTONIC) < until) {
		ssize_t n = read(pump.b, frame, sizeof(frame));

		if (n < 0) {
			poll(&wait, 1, 10);
			continue;
		}
		if (n != VNET + SIZE)
			continue;
		memcpy(&number, frame + NUMBER, 8);
		memcpy(&nr, frame + NUMBER + 8, 4);
		if (number == burst && nr < BURST)
			came |= 1u << nr;
	}
	return came;
}

static void judge(uint32_t came)
{
	for (uint32_t i = 0; i < BURST; i++) {
		uint16_t port = ports[i % 10];
		bool is = came >> i & 1;

		pump.lost += port == 1000 && !is;
		pump.misjudged += port == 4000 && is;
		if (port != 1000 && port != 4000 && is && port != pump.open) {
			pump.open = port;
			pump.turns++;
		}
	}
}

/* A guest's tap takes a moment to carry: what comes before counts for nothing. */
static void begin(void)
{
	do {
		for (uint32_t i = 0; i < BURST; i++)
			write_one(0, i);
	} while (!(read_all(0) >> (BURST - 1)));
	pump.sent = 0;
	printf("ready\n");
	fflush(stdout);
}

static bool is_over(void)
{
	struct pollfd in = { .fd = 0, .events = POLLIN | POLLHUP };
	char byte;

	return poll(&in, 1, 0) > 0 && read(0, &byte, 1) <= 0;
}

static void sleep_until(uint64_t ns)
{
	struct timespec at = { (time_t)(ns / 1000000000u), (long)(ns % 1000000000u) };

	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL);
}

int main(int argc, char **argv)
{
	static const struct option options[] = { { "rate", 1, NULL, 'r' }, { 0 } };
	uint64_t begun, next, pace;
	int o, rate = 30000;

	while ((o = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (o != 'r')
			return 2;
		rate = atoi(optarg);
	}
	if (optind + 1 != argc || rate < BURST) {
		fprintf(stderr, "usage: pump [--rate N] PATH\n");
		return 2;
	}
	open_path(argv[optind]);
	begin();
	pace = UINT64_C(1000000000) * BURST / (uint64_t)rate;
	begun = next = clock_ns(CLOCK_MONOTONIC);
	for (uint64_t burst = 1; !is_over(); burst++) {
		for (uint32_t i = 0; i < BURST; i++)
			write_one(burst, i);
		judge(read_all(burst));
		next += pace;
		if (next < clock_ns(CLOCK_MONOTONIC))
			next = clock_ns(CLOCK_MONOTONIC);
		sleep_until(next);
	}
	printf("{\"sent\":%lu,\"seconds\":%.1f,\"lost\":%lu,\"misjudged\":%lu,\"turns\":%lu}\n",
	       pump.sent, (double)(clock_ns(CLOCK_MONOTONIC) - begun) / 1e9, pump.lost,
	       pump.misjudged, pump.turns);
	return 0;
}
