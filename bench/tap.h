/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What the programs of bench/ share: netns, a VMM's tap, its frames, clocks, figures. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <netinet/if_ether.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <sched.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#define VNET 12 /* of the header before each frame */

static inline void die(const char *what)
{
	fprintf(stderr, "bench: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* The process is in that network namespace until leave is given what this returns. */
static inline int enter(const char *netns)
{
	int home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	int ns = open(netns, O_RDONLY | O_CLOEXEC);

	if (home < 0 || ns < 0 || setns(ns, CLONE_NEWNET) < 0)
		die(netns);
	close(ns);
	return home;
}

static inline void leave(int home)
{
	if (setns(home, CLONE_NEWNET) < 0)
		die("back");
	close(home);
}

static inline int open_tap(const char *netns, const char *name)
{
	struct ifreq req = { .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR };
	int home = enter(netns), header = VNET;
	int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);

	snprintf(req.ifr_name, sizeof(req.ifr_name), "%s", name);
	if (fd < 0 || ioctl(fd, TUNSETIFF, &req) < 0 || ioctl(fd, TUNSETVNETHDRSZ, &header) < 0 ||
	    ioctl(fd, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6) < 0)
		die(name);
	leave(home);
	return fd;
}

static inline void parse_mac(const char *text, uint8_t mac[6])
{
	if (sscanf(text, "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", &mac[0], &mac[1], &mac[2], &mac[3],
		   &mac[4], &mac[5]) != 6) {
		fprintf(stderr, "bench: '%s' is no MAC\n", text);
		exit(2);
	}
}

/* The parts of a text that commas separate; there are to be n. */
static inline void split(char *spec, char **part, int n)
{
	char *save = NULL;

	for (int i = 0; i < n; i++) {
		part[i] = strtok_r(i ? NULL : spec, ",", &save);
		if (!part[i]) {
			fprintf(stderr, "bench: a path has %d parts\n", n);
			exit(2);
		}
	}
}

static inline uint32_t sum16(const void *data, size_t n, uint32_t sum)
{
	const uint8_t *p = data;

	for (size_t i = 0; i + 1 < n; i += 2)
		sum += (uint32_t)p[i] << 8 | p[i + 1];
	return n & 1 ? sum + ((uint32_t)p[n - 1] << 8) : sum;
}

static inline uint16_t fold(uint32_t sum)
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

static inline void build_ip(struct ether_header *eth, size_t size, const uint8_t dst_mac[6],
			    const struct end *src, const struct end *dst, uint8_t protocol)
{
	struct iphdr *ip = (void *)(eth + 1);

	memcpy(eth->ether_dhost, dst_mac, 6);
	memcpy(eth->ether_shost, src->mac, 6);
	eth->ether_type = htons(ETHERTYPE_IP);
	*ip = (struct iphdr){ .version = 4,
			      .ihl = 5,
			      .ttl = 64,
			      .protocol = protocol,
			      .tot_len = htons((uint16_t)(size - sizeof(*eth))),
			      .saddr = src->ip.s_addr,
			      .daddr = dst->ip.s_addr };
	ip->check = fold(sum16(ip, sizeof(*ip), 0));
}

/* A UDP frame of `size` bytes behind its header; what stands in it already is its payload. */
static inline void build_udp(uint8_t *out, size_t size, const uint8_t dst_mac[6],
			     const struct end *src, const struct end *dst)
{
	struct ether_header *eth = (void *)(out + VNET);
	struct iphdr *ip = (void *)(eth + 1);
	struct udphdr *udp = (void *)(ip + 1);
	size_t udp_len = size - sizeof(*eth) - sizeof(*ip);
	uint32_t sum;

	build_ip(eth, size, dst_mac, src, dst, IPPROTO_UDP);
	*udp = (struct udphdr){ .source = htons(src->port),
				.dest = htons(dst->port),
				.len = htons((uint16_t)udp_len) };
	sum = sum16(&ip->saddr, 8, IPPROTO_UDP + (uint32_t)udp_len);
	udp->check = fold(sum16(udp, udp_len, sum));
}

/*
 * A TCP frame of `size` bytes behind its header, whose checksum is left to the device, and the cutting
 * into segments of `mss` bytes too where it is longer than one.
 */
static inline void build_tcp(uint8_t *out, size_t size, const uint8_t dst_mac[6],
			     const struct end *src, const struct end *dst, const struct tcphdr *as,
			     size_t mss)
{
	const size_t heads = sizeof(struct ether_header) + sizeof(struct iphdr) + sizeof(*as);
	struct ether_header *eth = (void *)(out + VNET);
	struct iphdr *ip = (void *)(eth + 1);
	struct tcphdr *tcp = (void *)(ip + 1);
	struct virtio_net_hdr head = {
		.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
		.csum_start = sizeof(*eth) + sizeof(*ip),
		.csum_offset = offsetof(struct tcphdr, check),
	};

	if (size > heads + mss) {
		head.gso_type = VIRTIO_NET_HDR_GSO_TCPV4;
		head.gso_size = (uint16_t)mss;
		head.hdr_len = (uint16_t)heads;
	}
	memcpy(out, &head, sizeof(head));
	build_ip(eth, size, dst_mac, src, dst, IPPROTO_TCP);
	*tcp = *as;
	tcp->source = htons(src->port);
	tcp->dest = htons(dst->port);
	tcp->doff = sizeof(*tcp) / 4;
	tcp->window = 0xffff;
	/* Of the pseudo header alone, not inverted. */
	tcp->check = (uint16_t)~fold(
		sum16(&ip->saddr, 8, IPPROTO_TCP + (uint32_t)(size - sizeof(*eth) - sizeof(*ip))));
}

static inline uint64_t clock_ns(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static inline void pin(long cpu)
{
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET((size_t)(cpu % sysconf(_SC_NPROCESSORS_ONLN)), &one);
	sched_setaffinity(0, sizeof(one), &one);
}

static inline int by_size(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static inline void print_figures(const char *name, const uint64_t *v, int n)
{
	printf("\"%s\":[", name);
	for (int i = 0; i < n; i++)
		printf("%s%llu", i ? "," : "", (unsigned long long)v[i]);
	printf("]");
}
