// SPDX-License-Identifier: Apache-2.0
/* The node's real devices. */
#include <arpa/inet.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "tap.h"
#include "tests/bpf/devices.h"
#include "tests/bpf/node.h"

#define PORTS	  (NODE_SLOTS * 4) /* e and its pk's three protocols; up1 and up0's three */
#define GUEST(nr) (10 + 2 * (nr))  /* ifindex of e */

/* A packet socket, and what a frame on it means. */
struct port {
	int fd;
	int at;
	uint32_t slot;
};

static struct port ports[PORTS];
static int n_ports;
static int guests = -1, node = -1; /* network namespaces */
static int senders[NODE_SLOTS], taps[NODE_SLOTS];

static int shell(const char *command)
{
	int r = system(command);

	if (r)
		fprintf(stderr, "bpf-test: '%s' failed\n", command);
	return r ? -EIO : 0;
}

static int shells(const char *const *commands, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (shell(commands[i]))
			return -EIO;
	return 0;
}

static int new_namespace(int *fd)
{
	if (unshare(CLONE_NEWNET)) {
		perror("bpf-test: a network namespace");
		return -errno;
	}
	*fd = open("/proc/self/ns/net", O_RDONLY);
	return *fd < 0 ? -errno : 0;
}

/* For the programs at the device's ingress. */
static int hook(const char *device)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)if_nametoindex(device),
		    .attach_point = BPF_TC_INGRESS);

	return bpf_tc_hook_create(&hook);
}

/* The guests say nothing by themselves. */
static int quiet(void)
{
	static const char *const commands[] = {
		"echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6",
		"echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6",
	};

	return shells(commands, sizeof(commands) / sizeof(*commands));
}

static int uplink(void)
{
	static const char *const commands[] = {
		"ip link set lo up",
		"ip link add up0 index 101 address 02:00:00:00:00:c9 type veth peer name up1",
		"echo 1 > /proc/sys/net/ipv6/conf/up1/disable_ipv6",
		"ip link set up1 up",
		"ip addr add 192.0.2.1/24 dev up0",
		"ip addr add fd00:2::1/64 dev up0 nodad",
		"ip link set up0 up",
		"ip route add default via 192.0.2.254 dev up0",
		"ip -6 route add default via fd00:2::fe dev up0",
		"ip neigh add 192.0.2.254 lladdr 02:00:00:00:00:fe dev up0",
		"ip neigh add fd00:2::fe lladdr 02:00:00:00:00:fe dev up0",
		"ip route add unreachable 203.0.113.0/24",
		"ip -6 route add unreachable 2001:db8:dead::/48",
	};

	return shells(commands, sizeof(commands) / sizeof(*commands)) || hook("up0") ? -EIO : 0;
}

/* A kernel without VXLAN has no overlay to test. */
static int overlay(void)
{
	static const char *const commands[] = {
		"ip link add ov0 index 102 type vxlan external dstport 8479 nolearning",
		"ip link set ov0 address 02:70:6b:00:00:02 mtu 1450 arp off addrgenmode none up",
		"echo 1 > /proc/sys/net/ipv4/conf/ov0/forwarding",
		"echo 1 > /proc/sys/net/ipv6/conf/ov0/forwarding",
		"ip route add 10.93.0.0/24 dev ov0",
		"ip -6 route add fd00:93::/64 dev ov0",
	};

	return shells(commands, sizeof(commands) / sizeof(*commands)) || hook("ov0") ? -EIO : 0;
}

/* In the guests' namespace: ip gives the ifindex to its own end only. */
static int pair(uint32_t nr)
{
	char line[256];

	snprintf(line, sizeof(line),
		 "ip link add e%u index %u mtu 9000 type veth peer name pk%u mtu 9000"
		 " netns /proc/%d/fd/%d && ip link set e%u up",
		 nr, GUEST(nr), nr, getpid(), node, nr);
	return shell(line);
}

static int host_end(uint32_t nr)
{
	char line[256];

	snprintf(line, sizeof(line),
		 "ip link set pk%u up && echo 1 > /proc/sys/net/ipv4/conf/pk%u/forwarding &&"
		 " echo 1 > /proc/sys/net/ipv6/conf/pk%u/forwarding",
		 nr, nr, nr);
	if (shell(line))
		return -EIO;
	snprintf(line, sizeof(line),
		 "ip route add 10.20.0.%u dev pk%u && ip -6 route add fd00:20::%x dev pk%u",
		 WHO_A + nr - 1, nr, WHO_A + nr - 1, nr);
	if (shell(line))
		return -EIO;
	snprintf(line, sizeof(line), "pk%u", nr);
	return hook(line);
}

static int port(const char *device, uint16_t protocol, int at, uint32_t slot)
{
	struct sockaddr_ll addr = { .sll_family = AF_PACKET,
				    .sll_protocol = htons(protocol),
				    .sll_ifindex = (int)if_nametoindex(device) };
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1;

	if (fd < 0 || bind(fd, (struct sockaddr *)&addr, sizeof(addr)) ||
	    setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof(one))) {
		fprintf(stderr, "bpf-test: a packet socket on %s: %s\n", device, strerror(errno));
		return -errno;
	}
	ports[n_ports++] = (struct port){ fd, at, slot };
	return fd;
}

/* A socket of one protocol gets what the guard passed on to the stack, and nothing before. */
static int stack_ports(uint32_t nr)
{
	static const uint16_t protocols[] = { ETH_P_IP, ETH_P_IPV6, ETH_P_ARP };
	char name[IFNAMSIZ] = "up0";

	if (nr)
		snprintf(name, sizeof(name), "pk%u", nr);
	for (size_t i = 0; i < sizeof(protocols) / sizeof(*protocols); i++)
		if (port(name, protocols[i], AT_STACK, nr) < 0)
			return -EIO;
	return 0;
}

static int guest(uint32_t nr)
{
	char name[IFNAMSIZ], line[64];
	struct pk_tap tap = {
		.name = name, .ifindex = GUEST(nr) + 1, .group = (gid_t)-1, .mtu = 9000
	};
	struct pk_err err;

	snprintf(name, sizeof(name), "tap%u", nr);
	if (pk_tap_create(&tap, &taps[nr], &err)) {
		fprintf(stderr, "bpf-test: %s\n", err.text);
		return -EIO;
	}
	snprintf(line, sizeof(line), "ip link set tap%u up", nr);
	if (shell(line) || hook(name))
		return -EIO;
	snprintf(name, sizeof(name), "e%u", nr);
	if (hook(name))
		return -EIO;
	senders[nr] = port(name, ETH_P_ALL, AT_GUEST, nr);
	return senders[nr] < 0 ? -EIO : 0;
}

static int each(int (*make)(uint32_t))
{
	for (uint32_t nr = 1; nr < NODE_SLOTS; nr++)
		if (make(nr))
			return -EIO;
	return 0;
}

int devices_start(void)
{
	if (new_namespace(&node) || uplink() || overlay() || new_namespace(&guests) || quiet() ||
	    each(pair) || each(guest))
		return -EIO;
	if (setns(node, CLONE_NEWNET))
		return -errno;
	senders[0] = port("up1", ETH_P_ALL, AT_UPLINK, 0);
	return each(host_end) || each(stack_ports) || stack_ports(0) || senders[0] < 0 ? -EIO : 0;
}

void devices_stop(void)
{
	for (uint32_t nr = 1; nr < NODE_SLOTS; nr++)
		close(taps[nr]);
	while (n_ports)
		close(ports[--n_ports].fd);
	close(guests);
	close(node);
}

/* Asked for by every packet: asking the kernel takes longer than the packet. */
static uint32_t remembered(uint32_t *ifindex, const char *name)
{
	if (!*ifindex)
		*ifindex = if_nametoindex(name);
	return *ifindex;
}

uint32_t devices_host(uint32_t slot)
{
	static uint32_t ifindex[NODE_SLOTS];
	char name[IFNAMSIZ];

	snprintf(name, sizeof(name), "pk%u", slot);
	return remembered(&ifindex[slot], name);
}

uint32_t devices_uplink(void)
{
	static uint32_t ifindex;

	return remembered(&ifindex, "up0");
}

static int attach(uint32_t ifindex, int prog)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)ifindex, .attach_point = BPF_TC_INGRESS);
	LIBBPF_OPTS(bpf_tc_opts, opts, .prog_fd = prog, .handle = 1, .priority = 1,
		    .flags = BPF_TC_F_REPLACE);

	return bpf_tc_attach(&hook, &opts) ? -EIO : 0;
}

int devices_guard(int from_endpoint)
{
	int r = 0;

	for (uint32_t nr = 1; nr < NODE_SLOTS; nr++)
		r |= attach(devices_host(nr), from_endpoint);
	return r;
}

int devices_attach(const int *programs)
{
	int r = attach(devices_uplink(), programs[NODE_UP]) |
		attach(DEVICES_OVERLAY, programs[NODE_FABRIC]) | devices_guard(programs[NODE_FROM]);

	if (setns(guests, CLONE_NEWNET))
		return -errno;
	for (uint32_t nr = 1; nr < NODE_SLOTS; nr++) {
		r |= attach(GUEST(nr), programs[NODE_FORWARD_ETH]);
		r |= attach(GUEST(nr) + 1, programs[NODE_FORWARD_TAP]);
	}
	return setns(node, CLONE_NEWNET) ? -errno : r;
}

void devices_drain(void)
{
	static uint8_t frame[70000];

	for (int i = 0; i < n_ports; i++)
		while (recv(ports[i].fd, frame, 1, 0) >= 0)
			;
	for (uint32_t nr = 1; nr < NODE_SLOTS; nr++)
		while (read(taps[nr], frame, sizeof(frame)) >= 0)
			;
}

int devices_send(uint32_t slot, const struct pkt *p)
{
	return send(senders[slot], p->b, p->len, 0) < 0 ? -errno : 0;
}

/* The node's own words (router solicitations, neighbours) are nobody's packets. */
static bool ours(const struct arrival *a)
{
	uint8_t gateway[6];

	pkt_mac(WHO_GATEWAY, gateway);
	if (a->at == AT_GUEST)
		return !memcmp(a->p.b + 6, gateway, sizeof(gateway));
	return !(a->p.b[0] & 1);
}

static bool receive_one(const struct port *from, struct arrival *a)
{
	ssize_t len;

	while ((len = recv(from->fd, a->p.b, sizeof(a->p.b), 0)) >= 0) {
		a->at = from->at;
		a->slot = from->slot;
		a->p.len = (size_t)len;
		if (ours(a))
			return true;
	}
	return false;
}

bool devices_receive(struct arrival *a, int ms)
{
	struct pollfd fds[PORTS];

	for (int i = 0; i < n_ports; i++)
		fds[i] = (struct pollfd){ .fd = ports[i].fd, .events = POLLIN };
	while (poll(fds, (nfds_t)n_ports, ms) > 0)
		for (int i = 0; i < n_ports; i++)
			if (fds[i].revents & POLLIN && receive_one(&ports[i], a))
				return true;
	a->at = AT_NOBODY;
	a->slot = 0;
	return false;
}

int devices_tap_write(uint32_t slot, const struct vnet *vnet, const uint8_t *frame, size_t len)
{
	struct iovec parts[] = { { (void *)vnet, sizeof(*vnet) }, { (void *)frame, len } };

	return writev(taps[slot], parts, 2) < 0 ? -errno : 0;
}

bool devices_tap_cuts_udp(void)
{
	const unsigned long csum_uso4_uso6 = 0x61; /* Debian 12's headers are 6.1's */
	bool takes = !ioctl(taps[1], TUNSETOFFLOAD, csum_uso4_uso6);

	return !ioctl(taps[1], TUNSETOFFLOAD, 0UL) && takes;
}

int devices_tap_read(uint32_t slot, struct vnet *vnet, uint8_t *frame, size_t size, int ms)
{
	struct iovec parts[] = { { vnet, sizeof(*vnet) }, { frame, size } };
	struct pollfd fd = { .fd = taps[slot], .events = POLLIN };
	ssize_t len;

	if (poll(&fd, 1, ms) <= 0)
		return -EAGAIN;
	len = readv(taps[slot], parts, 2);
	return len < (ssize_t)sizeof(*vnet) ? -errno : (int)(len - (ssize_t)sizeof(*vnet));
}
