/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two stand-ins for VMMs: processes on tap file descriptors with a 12-byte vnet header and
 * Firecracker's offloads (csum, TSO4, TSO6). "cpu mode": one pinned thread writes a burst of
 * frames on tap A and reads them on tap B; what is counted is that thread's CPU time, the
 * kernel's whole path included, so a busy machine costs precision but not truth.
 *
 * "rate": one thread writes, another one reads; "trip": one writes a frame and waits for its answer,
 * the other one answers, both without sleeping.
 *
 *   taps --mode cpu|rate|trip --rounds R --packets N --size BYTES [--gso MSS] PATH…
 * A path is NAME,NETNS_A,TAP_A,MAC_A,IP_A,NETNS_B,TAP_B,MAC_B,IP_B,DST_MAC: UDP from A to B,
 * sent to DST_MAC; with --gso TCP, which the devices are to cut into segments of MSS bytes, and which
 * comes out as it went in, or not at all. Rounds go over all paths in turn, so that they are interleaved.
 * Prints {"NAME":{"ns":[one a round]},…}, "pps" for rate, "p50" and "p99" for trip, and of a last round,
 * which isn't timed, how many frames came out "corrupt". A round in which
 * a packet was lost counts for nothing: stderr has the path, the round and what is known, and the round
 * is run again; where it was VOID_MAX times for nothing the exit status is 1.
 */
#include <getopt.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "tap.h"

#define BURST	   32
#define PATHS_MAX  8
#define ROUNDS_MAX 1000
#define FRAME_MAX  65549
#define VOID_MAX   5
#define TCP_HEADS  (sizeof(struct ether_header) + sizeof(struct iphdr) + sizeof(struct tcphdr))
#define SECOND	   UINT64_C(1000000000)

struct path {
	const char *name;
	int a, b;
	uint8_t frame[VNET + FRAME_MAX]; /* A to B */
	uint8_t reply[VNET + FRAME_MAX]; /* B to A: opens the flow both ways */
	size_t len, reply_len, mss;	 /* mss: 0 = UDP */
	struct end from, to;
	uint8_t via[6]; /* all ones: it is one subnet */
	uint64_t figure[ROUNDS_MAX], p99[ROUNDS_MAX];
	int refused, error; /* writes of this round, the errno of the last one */
	bool compares;	    /* every byte of what comes out, in a round that isn't timed */
	int corrupt;
};

static const uint8_t *next_hop(const struct path *p, const struct end *to)
{
	return memcmp(p->via, "\xff\xff\xff\xff\xff\xff", 6) ? p->via : to->mac;
}

static void build_frames(struct path *p)
{
	static const struct tcphdr data = { .ack = 1, .psh = 1 }, answer = { .syn = 1, .ack = 1 };
	struct tcphdr as = data;

	if (!p->mss) {
		build_udp(p->frame, p->len - VNET, next_hop(p, &p->to), &p->from, &p->to);
		build_udp(p->reply, p->reply_len - VNET, next_hop(p, &p->from), &p->to, &p->from);
		return;
	}
	as.seq = as.ack_seq = htonl(1);
	build_tcp(p->frame, p->len - VNET, next_hop(p, &p->to), &p->from, &p->to, &as, p->mss);
	as = answer;
	as.ack_seq = htonl(1);
	build_tcp(p->reply, p->reply_len - VNET, next_hop(p, &p->from), &p->to, &p->from, &as,
		  p->mss);
}

static void open_path(struct path *p, char *spec, size_t size, size_t mss)
{
	char *part[10];

	split(spec, part, 10);
	p->name = part[0];
	p->a = open_tap(part[1], part[2]);
	p->b = open_tap(part[5], part[6]);
	p->from.port = 4000;
	p->to.port = 8080;
	parse_mac(part[3], p->from.mac);
	parse_mac(part[7], p->to.mac);
	parse_mac(part[9], p->via);
	if (!inet_aton(part[4], &p->from.ip) || !inet_aton(part[8], &p->to.ip)) {
		fprintf(stderr, "taps: bad address\n");
		exit(2);
	}
	p->len = VNET + size;
	p->reply_len = VNET + (mss ? TCP_HEADS : size);
	p->mss = mss;
	build_frames(p);
}

static void drain(int fd)
{
	uint8_t buf[65536];

	while (read(fd, buf, sizeof(buf)) > 0)
		;
}

static bool is_frame(const struct path *p, const uint8_t *buf, ssize_t n, const uint8_t *frame)
{
	const struct virtio_net_hdr *head = (const void *)buf;

	return n == (ssize_t)p->len && !memcmp(buf + VNET + 34, frame + VNET + 34, 4) &&
	       (!p->mss || head->gso_size == p->mss);
}

/*
 * Returns whether what is read is what was written, but for the IP header, which a router may change;
 * what was left to do (checksum, segments) is left as it was.
 */
static bool is_intact(const struct path *p, const uint8_t *buf)
{
	const struct virtio_net_hdr *sent = (const void *)p->frame, *got = (const void *)buf;
	size_t l4 = VNET + sizeof(struct ether_header) + sizeof(struct iphdr);

	return got->flags == sent->flags && got->gso_type == sent->gso_type &&
	       got->gso_size == sent->gso_size && got->csum_start == sent->csum_start &&
	       got->csum_offset == sent->csum_offset &&
	       !memcmp(buf + l4, p->frame + l4, p->len - l4);
}

static void send_frame(struct path *p)
{
	if (write(p->a, p->frame, p->len) == (ssize_t)p->len)
		return;
	p->refused++;
	p->error = errno;
}

/*
 * Frames of the burst that came out of B: the stack's own chatter has another length or port. Where
 * the kernel left them to its own thread (ksoftirqd), that one needs this processor.
 */
static int collect(struct path *p, int want)
{
	uint64_t end = clock_ns(CLOCK_MONOTONIC) + SECOND;
	uint8_t buf[VNET + FRAME_MAX + 64];
	int got = 0;

	while (got < want) {
		ssize_t n = read(p->b, buf, sizeof(buf));

		if (is_frame(p, buf, n, p->frame)) {
			got++;
			p->corrupt += p->compares && !is_intact(p, buf);
		} else if (n < 0 && clock_ns(CLOCK_MONOTONIC) > end) {
			break;
		} else if (n < 0) {
			sched_yield();
		}
	}
	return got;
}

/* How many packets of the round's first burst with a loss; 0 where none was lost. */
static int run_cpu(struct path *p, int round, int packets)
{
	uint64_t start;

	drain(p->b);
	start = clock_ns(CLOCK_THREAD_CPUTIME_ID);
	for (int sent = 0; sent < packets; sent += BURST) {
		int got;

		for (int i = 0; i < BURST; i++)
			send_frame(p);
		got = collect(p, BURST);
		if (got < BURST)
			return BURST - got;
	}
	p->figure[round] = (clock_ns(CLOCK_THREAD_CPUTIME_ID) - start) / (uint64_t)packets;
	return 0;
}

/* The other end's thread: writes without end, or answers what comes. */
struct other {
	struct path *p;
	bool answers;
	atomic_bool over;
};

static void *other_end(void *arg)
{
	uint8_t buf[VNET + FRAME_MAX + 64];
	struct other *o = arg;
	struct path *p = o->p;

	pin(0);
	while (!o->over) {
		ssize_t n = 0;

		if (!o->answers)
			n = write(p->a, p->frame, p->len);
		else if (is_frame(p, buf, read(p->b, buf, sizeof(buf)), p->frame))
			n = write(p->b, p->reply, p->reply_len);
		if (n < 0)
			die(p->name);
	}
	return NULL;
}

static void begin(struct other *o, pthread_t *thread)
{
	drain(o->p->a);
	drain(o->p->b);
	if (pthread_create(thread, NULL, other_end, o))
		die("thread");
}

static void end(struct other *o, pthread_t thread)
{
	o->over = true;
	pthread_join(thread, NULL);
}

/* What comes out in a third of a second; what the reader is too slow for is lost, and no loss. */
static int run_rate(struct path *p, int round, int packets)
{
	struct other writer = { .p = p };
	uint64_t start, now;
	pthread_t thread;
	int got = 0;

	(void)packets;
	begin(&writer, &thread);
	now = start = clock_ns(CLOCK_MONOTONIC);
	while (now - start < SECOND / 3) {
		got += collect(p, BURST);
		now = clock_ns(CLOCK_MONOTONIC);
	}
	end(&writer, thread);
	p->figure[round] = (uint64_t)got * SECOND / (now - start);
	return 0;
}

/* The time there and back; 0 where no answer came. */
static uint64_t trip(struct path *p)
{
	uint64_t start = clock_ns(CLOCK_MONOTONIC);
	uint8_t buf[VNET + FRAME_MAX + 64];

	send_frame(p);
	while (!is_frame(p, buf, read(p->a, buf, sizeof(buf)), p->reply))
		if (clock_ns(CLOCK_MONOTONIC) - start > SECOND)
			return 0;
	return clock_ns(CLOCK_MONOTONIC) - start;
}

static int run_trip(struct path *p, int round, int packets)
{
	struct other answerer = { .p = p, .answers = true };
	uint64_t *ns = calloc((size_t)packets, sizeof(*ns));
	pthread_t thread;
	int done = 0;

	begin(&answerer, &thread);
	while (done < packets && (ns[done] = trip(p)))
		done++;
	end(&answerer, thread);
	qsort(ns, (size_t)done, sizeof(*ns), by_size);
	p->figure[round] = ns[packets / 2];
	p->p99[round] = ns[packets * 99 / 100];
	free(ns);
	return done < packets;
}

/* The first packets resolve neighbours (the peer) and open the flow (ours); TCP's begin as TCP does. */
static void warm_up(struct path *p)
{
	static const struct tcphdr syn = { .syn = 1 };
	uint8_t first[VNET + TCP_HEADS] = { 0 };

	build_tcp(first, TCP_HEADS, next_hop(p, &p->to), &p->from, &p->to, &syn, p->mss);
	for (int i = 0; i < 20; i++) {
		if (p->mss && i < 10 && write(p->a, first, sizeof(first)) < 0)
			die(p->name);
		if ((!p->mss || i >= 10) && write(p->a, p->frame, p->len) < 0)
			die(p->name);
		if ((!p->mss || i < 10) && write(p->b, p->reply, p->reply_len) < 0)
			die(p->name);
		usleep(10000);
	}
	drain(p->a);
	drain(p->b);
}

static const struct mode {
	const char *name, *figure;
	int (*run)(struct path *p, int round, int packets); /* how many packets were lost */
	int packets;
} modes[] = {
	{ "cpu", "ns", run_cpu, 100000 },
	{ "rate", "pps", run_rate, BURST },
	{ "trip", "p50", run_trip, 4000 },
	{ 0 },
};

/* Packets that the kernel dropped since it started as its processors' queues were full. */
static uint64_t backlog_drops(void)
{
	FILE *f = fopen("/proc/net/softnet_stat", "re");
	uint64_t drops = 0;
	unsigned int n;

	while (f && fscanf(f, "%*x %x%*[^\n]", &n) == 1)
		drops += n;
	if (f)
		fclose(f);
	return drops;
}

/* The round until nothing of it is lost; false: it never was whole. */
static bool whole_round(const struct mode *mode, struct path *p, int round, int packets)
{
	for (int void_rounds = 0; void_rounds < VOID_MAX; void_rounds++) {
		uint64_t drops = backlog_drops();
		int lost;

		p->refused = 0;
		lost = mode->run(p, round, packets);
		if (!lost && !p->refused)
			return true;
		fprintf(stderr,
			"taps: %s: round %d doesn't count: %d packets did not come out within a second; "
			"%d writes were refused%s%s; %llu packets dropped as a processor's queue was full\n",
			p->name, round + 1, lost, p->refused, p->refused ? ": " : "",
			p->refused ? strerror(p->error) : "",
			(unsigned long long)(backlog_drops() - drops));
	}
	fprintf(stderr, "taps: %s: round %d: %d times in a row\n", p->name, round + 1, VOID_MAX);
	return false;
}

/* Runs one round more, of which every byte is looked at, and no time kept. */
static bool compare(struct path *p, int rounds, int packets)
{
	uint64_t figure = p->figure[rounds - 1];
	bool whole;

	p->compares = true;
	whole = whole_round(&modes[0], p, rounds - 1, packets);
	p->figure[rounds - 1] = figure;
	return whole;
}

static void print(const struct mode *mode, const struct path *paths, int n, int rounds)
{
	for (int i = 0; i < n; i++) {
		printf("%s\"%s\":{", i ? "," : "{", paths[i].name);
		print_figures(mode->figure, paths[i].figure, rounds);
		printf(",");
		print_figures("p99", paths[i].p99, rounds);
		printf(",\"corrupt\":%d}", paths[i].corrupt);
	}
	printf("}\n");
}

static const struct mode *find_mode(const char *name)
{
	const struct mode *m = modes;

	while (m->name && strcmp(m->name, name))
		m++;
	return m->name ? m : NULL;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "mode", 1, NULL, 'm' }, { "rounds", 1, NULL, 'r' }, { "packets", 1, NULL, 'p' },
		{ "size", 1, NULL, 's' }, { "gso", 1, NULL, 'g' },    { 0 }
	};
	static struct path paths[PATHS_MAX];
	const struct mode *mode = modes;
	int o, n = 0, rounds = 9, packets = 0, size = 64, mss = 0;

	while ((o = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (o == 'm')
			mode = find_mode(optarg);
		else if (o == 'r')
			rounds = atoi(optarg);
		else if (o == 'p')
			packets = atoi(optarg) / BURST * BURST;
		else if (o == 's')
			size = atoi(optarg);
		else if (o == 'g')
			mss = atoi(optarg);
		else
			return 2;
		if (!mode)
			return 2;
	}
	packets = packets ? packets : mode->packets;
	if (rounds < 1 || rounds > ROUNDS_MAX || packets < BURST || size < 60 || size > FRAME_MAX ||
	    mss < 0 || mss > UINT16_MAX)
		return 2;
	for (; optind < argc && n < PATHS_MAX; optind++)
		open_path(&paths[n++], argv[optind], (size_t)size, (size_t)mss);
	pin(1);
	for (int i = 0; i < n; i++)
		warm_up(&paths[i]);
	for (int r = 0; r < rounds; r++)
		for (int i = 0; i < n; i++)
			if (!whole_round(mode, &paths[i], r, packets))
				return 1;
	for (int i = 0; i < n && !strcmp(mode->name, "cpu"); i++)
		if (!compare(&paths[i], rounds, packets))
			return 1;
	print(mode, paths, n, rounds);
	return 0;
}
