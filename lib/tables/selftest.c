/* SPDX-License-Identifier: Apache-2.0 */
#include "selftest.h"
#include "addr.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/virtio_net.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "fs.h"
#include "own.h"
#include "picket/reason.h"
#include "tables.h"

#define FRAME 60
#define TRIES 3

/* A guest's packet: its own MAC, to the gateway, IPv4, no options, nothing behind it. */
static void make_frame(const struct pk_selftest *test, uint8_t frame[FRAME])
{
	static const uint8_t ip[20] = {
		0x45, 0, 0, 20, 0, 0, 0, 0, 64, 59
	}; /* 59: no next header */

	memset(frame, 0, FRAME);
	memcpy(frame, pk_gateway_mac, 6);
	memcpy(frame + 6, test->mac, 6);
	frame[12] = ETH_P_IP >> 8;
	frame[13] = ETH_P_IP & 0xff;
	memcpy(frame + ETH_HLEN, ip, sizeof(ip));
}

static int counted(const struct pk_selftest *test, uint64_t *n, struct pk_err *err)
{
	struct pk_counter sum;
	int r = pk_counter_read(test->bpf, test->slot, PK_EGRESS, PK_REASON_ENDPOINT_CLOSED, &sum);

	*n = sum.packets;
	return r < 0 ? pk_code(err, pk_fail(err, -r, "self-test: read counters"), PK_CODE_KERNEL)
		     : 0;
}

/* A packet from the stack may be judged a little later, on another CPU. */
static int wait_for_count(const struct pk_selftest *test, uint64_t before, uint64_t *after,
			  struct pk_err *err)
{
	static const struct timespec pause = { .tv_nsec = 100000 };
	uint64_t until = pk_now_ns() + 100000000;
	int r;

	if (until > test->deadline_ns)
		until = test->deadline_ns;
	for (;;) {
		r = counted(test, after, err);
		if (r < 0 || *after != before || pk_now_ns() >= until)
			return r;
		nanosleep(&pause, NULL);
	}
}

static int fail_guard(const struct pk_selftest *test, uint64_t n, struct pk_err *err)
{
	int r = pk_code(err,
			pk_fail(err, 0, "self-test: the guard counted %llu of 1 packet of slot %u",
				(unsigned long long)n, test->slot),
			PK_CODE_KERNEL);

	return pk_fix(err, r, "see picket check: another program may stand before the guard");
}

/* The node's or the netns' own chatter may come between: then once more, since only 1 proves it. */
static int run(const struct pk_selftest *test, int (*send_frame)(void *arg, const uint8_t *frame),
	       void *arg, struct pk_err *err)
{
	uint64_t before = 0, after = 0;
	uint8_t frame[FRAME];

	make_frame(test, frame);
	for (int i = 0; i < TRIES; i++) {
		int r = counted(test, &before, err);

		if (r < 0)
			return r;
		r = send_frame(arg, frame);
		if (r < 0)
			return pk_code(err, pk_fail(err, -r, "self-test: send"), PK_CODE_KERNEL);
		r = wait_for_count(test, before, &after, err);
		if (r < 0)
			return r;
		if (after - before == 1)
			return 0;
	}
	return fail_guard(test, after - before, err);
}

static int to_tap(void *arg, const uint8_t *frame)
{
	uint8_t packet[sizeof(struct virtio_net_hdr) + FRAME] = { 0 };
	ssize_t n;

	memcpy(packet + sizeof(struct virtio_net_hdr), frame, FRAME);
	n = write(*(int *)arg, packet, sizeof(packet));
	if (n < 0)
		return -errno;
	return n == sizeof(packet) ? 0 : -EIO;
}

int pk_selftest_tap(const struct pk_selftest *test, int tap_fd, struct pk_err *err)
{
	return run(test, to_tap, &tap_fd, err);
}

struct eth {
	int fd;
	struct sockaddr_ll to;
};

static int to_eth(void *arg, const uint8_t *frame)
{
	struct eth *eth = arg;
	ssize_t n = sendto(eth->fd, frame, FRAME, 0, (struct sockaddr *)&eth->to, sizeof(eth->to));

	return n < 0 ? -errno : 0;
}

int pk_selftest_eth(const struct pk_selftest *test, uint32_t ifindex, struct pk_err *err)
{
	own_fd int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	struct eth eth = { .fd = fd,
			   .to = { .sll_family = AF_PACKET,
				   .sll_protocol = htons(ETH_P_IP),
				   .sll_ifindex = (int)ifindex,
				   .sll_halen = 6 } };

	if (fd < 0)
		return pk_code(err, pk_fail(err, errno, "self-test: packet socket"),
			       PK_CODE_KERNEL);
	memcpy(eth.to.sll_addr, pk_gateway_mac, 6);
	return run(test, to_eth, &eth, err);
}
