/* SPDX-License-Identifier: Apache-2.0 */
/*
 * New flows to as many destinations, all to one port: a UDP frame each, written to taps in turn.
 *
 *   flows --first N --count N TAP…
 * A TAP is NETNS,TAP,MAC,IP,DST_MAC. Flow i goes to 11.0.0.0/8's address i. Prints
 * {"ns":[processor's time of a frame, for each thousand]}: the writing thread's, in which the
 * kernel carries the frame as far as it goes at once.
 */
#include <getopt.h>

#include "tap.h"

#define TAPS_MAX 4
#define SIZE	 64
#define FIRST	 0x0b000000u
#define ROOM	 0x20000
#define EACH	 1000

struct tap {
	int fd;
	struct end guest;
	uint8_t via[6];
};

static void open_one(struct tap *t, char *spec)
{
	char *part[5];

	split(spec, part, 5);
	t->fd = open_tap(part[0], part[1]);
	parse_mac(part[2], t->guest.mac);
	parse_mac(part[4], t->via);
	t->guest.port = 4000;
	if (!inet_aton(part[3], &t->guest.ip))
		die(part[3]);
}

static void send_flow(const struct tap *t, uint32_t nr)
{
	uint8_t frame[VNET + SIZE] = { 0 };
	const struct end to = { .ip.s_addr = htonl(FIRST + nr), .port = 9 };

	build_udp(frame, SIZE, t->via, &t->guest, &to);
	if (write(t->fd, frame, sizeof(frame)) != (ssize_t)sizeof(frame))
		die("write");
}

int main(int argc, char **argv)
{
	static const struct option options[] = { { "first", 1, NULL, 'f' },
						 { "count", 1, NULL, 'c' },
						 { 0 } };
	static uint64_t ns[ROOM / EACH];
	static struct tap taps[TAPS_MAX];
	int o, n = 0, first = 0, count = EACH;

	while ((o = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (o == 'f')
			first = atoi(optarg);
		else if (o == 'c')
			count = atoi(optarg) / EACH * EACH;
		else
			return 2;
	}
	if (first < 0 || count < EACH || first + count > ROOM)
		return 2;
	for (; optind < argc && n < TAPS_MAX; optind++)
		open_one(&taps[n++], argv[optind]);
	if (!n)
		return 2;
	pin(1);
	for (int i = 0; i < count; i += EACH) {
		uint64_t start = clock_ns(CLOCK_THREAD_CPUTIME_ID);

		for (int k = 0; k < EACH; k++)
			send_flow(&taps[(i + k) % n], (uint32_t)(first + i + k));
		ns[i / EACH] = (clock_ns(CLOCK_THREAD_CPUTIME_ID) - start) / EACH;
	}
	printf("{");
	print_figures("ns", ns, count / EACH);
	printf("}\n");
	return 0;
}
