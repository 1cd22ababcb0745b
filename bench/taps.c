/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two stand-ins for VMMs: processes on tap file descriptors with a 12-byte vnet header and
 * Firecracker's offloads (csum, TSO4, TSO6). "cpu mode": one pinned thread writes a burst of
 * frames on tap A and reads them on tap B; what is counted is that thread's CPU time, the
 * kernel's whole path included, so a busy machine costs precision but not truth.
 *
 *   taps --rounds R --packets N --size BYTES PATH…
 * A path is NAME,NETNS_A,TAP_A,MAC_A,IP_A,NETNS_B,TAP_B,MAC_B,IP_B,DST_MAC: UDP from A to B,
 * sent to DST_MAC. Rounds go over all paths in turn, so that they are interleaved.
 * Prints {"NAME":{"ns":[one a round],"lost":N},…}; exit 1 if any packet was lost.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <netinet/if_ether.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#define BURST	   32
#define PATHS_MAX  8
#define ROUNDS_MAX 1000
#define VNET	   12
#define FRAME_MAX  9014

struct path {
	const char *name;
	int a, b;
	uint8_t frame[VNET + FRAME_MAX]; /* A to B */
	uint8_t reply[VNET + FRAME_MAX]; /* B to A: opens the flow both ways */
	size_t len;
	uint64_t ns[ROUNDS_MAX];
	uint64_t lost;
};

static void die(const char *what)
{
	fprintf(stderr, "taps: %s: %s\n", what, strerror(errno));
	exit(1);
}

static int open_tap(const char *netns, const char *name)
{
	struct ifreq req = { .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR };
	int home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	int ns = open(netns, O_RDONLY | O_CLOEXEC), fd, header = VNET;

	if (home < 0 || ns < 0 || setns(ns, CLONE_NEWNET) < 0)
		die(netns);
	fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	snprintf(req.ifr_name, sizeof(req.ifr_name), "%s", name);
	if (fd < 0 || ioctl(fd, TUNSETIFF, &req) < 0 || ioctl(fd, TUNSETVNETHDRSZ, &header) < 0 ||
	    ioctl(fd, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6) < 0)
		die(name);
	if (setns(home, CLONE_NEWNET) < 0)
		die("back");
	close(ns);
	close(home);
	return fd;
}

static void parse_mac(const char *text, uint8_t mac[6])
{
	if (sscanf(text, "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", &mac[0], &mac[1], &mac[2], &mac[3],
		   &mac[4], &mac[5]) != 6) {
		fprintf(stderr, "taps: '%s' is no MAC\n", text);
		exit(2);
	}
}

static uint32_t sum16(const void *data, size_t n, uint32_t sum)
{
	const uint8_t *p = data;

	for (size_t i = 0; i + 1 < n; i += 2)
		sum += (uint32_t)p[i] << 8 | p[i + 1];
	return n & 1 ? sum + ((uint32_t)p[n - 1] << 8) : sum;
}

static uint16_t fold(uint32_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return htons((uint16_t)~sum);
}

struct end {
	uint8_t mac[6];
	struct in_addr ip;
	uint16_t port;
};

static void build(uint8_t *out, size_t size, const uint8_t dst_mac[6], const struct end *src,
		  const struct end *dst)
{
	struct ether_header *eth = (void *)(out + VNET);
	struct iphdr *ip = (void *)(eth + 1);
	struct udphdr *udp = (void *)(ip + 1);
	size_t udp_len = size - sizeof(*eth) - sizeof(*ip);
	uint32_t sum;

	memset(out, 0, VNET + size);
	memcpy(eth->ether_dhost, dst_mac, 6);
	memcpy(eth->ether_shost, src->mac, 6);
	eth->ether_type = htons(ETHERTYPE_IP);
	ip->version = 4;
	ip->ihl = 5;
	ip->ttl = 64;
	ip->protocol = IPPROTO_UDP;
	ip->tot_len = htons((uint16_t)(size - sizeof(*eth)));
	ip->saddr = src->ip.s_addr;
	ip->daddr = dst->ip.s_addr;
	ip->check = fold(sum16(ip, sizeof(*ip), 0));
	udp->source = htons(src->port);
	udp->dest = htons(dst->port);
	udp->len = htons((uint16_t)udp_len);
	sum = sum16(&ip->saddr, 8, IPPROTO_UDP + (uint32_t)udp_len);
	udp->check = fold(sum16(udp, udp_len, sum));
}

static void open_path(struct path *p, char *spec, size_t size)
{
	char *part[10], *save = NULL;
	struct end a = { .port = 4000 }, b = { .port = 8080 };
	uint8_t via[6];

	for (int i = 0; i < 10; i++) {
		part[i] = strtok_r(i ? NULL : spec, ",", &save);
		if (!part[i]) {
			fprintf(stderr, "taps: a path has ten parts\n");
			exit(2);
		}
	}
	p->name = part[0];
	p->a = open_tap(part[1], part[2]);
	p->b = open_tap(part[5], part[6]);
	parse_mac(part[3], a.mac);
	parse_mac(part[7], b.mac);
	parse_mac(part[9], via);
	if (!inet_aton(part[4], &a.ip) || !inet_aton(part[8], &b.ip)) {
		fprintf(stderr, "taps: bad address\n");
		exit(2);
	}
	p->len = VNET + size;
	build(p->frame, size, memcmp(via, "\xff\xff\xff\xff\xff\xff", 6) ? via : b.mac, &a, &b);
	build(p->reply, size, memcmp(via, "\xff\xff\xff\xff\xff\xff", 6) ? via : a.mac, &b, &a);
}

static void drain(int fd)
{
	uint8_t buf[65536];

	while (read(fd, buf, sizeof(buf)) > 0)
		;
}

/* Frames of the burst that came out of fd: the stack's own chatter has another length or port. */
static int collect(const struct path *p, int want)
{
	uint8_t buf[VNET + FRAME_MAX + 64];
	int got = 0, empty = 0;

	while (got < want && empty < 2000) {
		ssize_t n = read(p->b, buf, sizeof(buf));

		if (n == (ssize_t)p->len && !memcmp(buf + VNET + 34, p->frame + VNET + 34, 4))
			got++;
		else if (n < 0)
			empty++;
	}
	return got;
}

static uint64_t cpu_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static uint64_t run_round(struct path *p, int packets)
{
	uint64_t start;

	drain(p->b);
	start = cpu_ns();
	for (int sent = 0; sent < packets; sent += BURST) {
		for (int i = 0; i < BURST; i++)
			if (write(p->a, p->frame, p->len) != (ssize_t)p->len)
				p->lost++;
		p->lost += (uint64_t)(BURST - collect(p, BURST));
	}
	return (cpu_ns() - start) / (uint64_t)packets;
}

/* The first packets resolve neighbours (the peer) and open the flow (ours). */
static void warm_up(struct path *p)
{
	for (int i = 0; i < 20; i++) {
		if (write(p->a, p->frame, p->len) < 0 || write(p->b, p->reply, p->len) < 0)
			die(p->name);
		usleep(10000);
	}
	drain(p->a);
	drain(p->b);
}

static int print(const struct path *paths, int n, int rounds)
{
	uint64_t lost = 0;

	printf("{");
	for (int i = 0; i < n; i++) {
		printf("%s\"%s\":{\"ns\":[", i ? "," : "", paths[i].name);
		for (int r = 0; r < rounds; r++)
			printf("%s%llu", r ? "," : "", (unsigned long long)paths[i].ns[r]);
		printf("],\"lost\":%llu}", (unsigned long long)paths[i].lost);
		lost += paths[i].lost;
	}
	printf("}\n");
	return lost ? 1 : 0;
}

int main(int argc, char **argv)
{
	static const struct option options[] = { { "rounds", 1, NULL, 'r' },
						 { "packets", 1, NULL, 'p' },
						 { "size", 1, NULL, 's' },
						 { 0 } };
	static struct path paths[PATHS_MAX];
	int o, n = 0, rounds = 9, packets = 100000, size = 64;
	cpu_set_t one;

	while ((o = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (o == 'r')
			rounds = atoi(optarg);
		else if (o == 'p')
			packets = atoi(optarg) / BURST * BURST;
		else if (o == 's')
			size = atoi(optarg);
		else
			return 2;
	}
	if (rounds < 1 || rounds > ROUNDS_MAX || packets < BURST || size < 60 || size > FRAME_MAX)
		return 2;
	for (; optind < argc && n < PATHS_MAX; optind++)
		open_path(&paths[n++], argv[optind], (size_t)size);
	CPU_ZERO(&one);
	CPU_SET(1 % sysconf(_SC_NPROCESSORS_ONLN), &one);
	sched_setaffinity(0, sizeof(one), &one);
	for (int i = 0; i < n; i++)
		warm_up(&paths[i]);
	for (int r = 0; r < rounds; r++)
		for (int i = 0; i < n; i++)
			paths[i].ns[r] = run_round(&paths[i], packets);
	return print(paths, n, rounds);
}
