// SPDX-License-Identifier: Apache-2.0
/*
 * A host tap has the guard at both directions of one device: what the guard redirects to it carries
 * a proof, and passes its egress once more without a verdict.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/pkt_cls.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/bpf/node.h"

#define EPOCH 0x1122334455667788ull

static const struct __sk_buff proven = { .cb = { (uint32_t)EPOCH, EPOCH >> 32 } };

static void give_epoch(struct pk_node *n)
{
	n->epoch[0] = EPOCH;
}

static void make_host_tap(uint32_t slot, bool is)
{
	struct pk_endpoint ep;

	node_endpoint(slot, &ep);
	ep.flags = is ? ep.flags | PK_EP_HOST_TAP : ep.flags & ~PK_EP_HOST_TAP;
	node_endpoint_set(slot, &ep);
}

/* Of the device that stands for the tap: what all queues together may hold is 240. */
static void queue_length(uint32_t slot, int length)
{
	struct ifreq req = { .ifr_qlen = length };
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	if_indextoname(node_ifindex(slot), req.ifr_name);
	check("a queue length", fd >= 0 && ioctl(fd, SIOCSIFTXQLEN, &req) == 0);
	close(fd);
}

/* At slot's hook, with that control block; *cb is what it was left with. The program's return. */
static int run(enum node_prog prog, uint32_t slot, struct pkt p, const struct __sk_buff *meta,
	       uint32_t cb[2])
{
	struct __sk_buff in = *meta, out = { 0 };
	uint8_t data[sizeof(p.b)];
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = p.b, .data_size_in = p.len,
		    .data_out = data, .data_size_out = sizeof(data), .ctx_in = &in,
		    .ctx_size_in = sizeof(in), .ctx_out = &out, .ctx_size_out = sizeof(out));

	in.ifindex = node_ifindex(slot);
	if (bpf_prog_test_run_opts(node_prog_fd(prog), &opts))
		return -1000;
	if (cb)
		memcpy(cb, out.cb, 2 * sizeof(*cb));
	return (int)opts.retval;
}

static void what_is_sent_there_carries_the_proof(void)
{
	const struct __sk_buff none = { 0 };
	uint32_t cb[2];

	make_host_tap(2, true);
	check("a packet to a host tap is redirected, and carries the proof",
	      run(NODE_FROM, 1, pkt_v4(WHO_A, WHO_B, UDP(1000, 53)), &none, cb) ==
			      TC_ACT_REDIRECT &&
		      cb[0] == proven.cb[0] && cb[1] == proven.cb[1]);
	make_host_tap(2, false);
	check("a packet through a pair carries none",
	      run(NODE_FROM, 1, pkt_v4(WHO_A, WHO_B, UDP(1001, 53)), &none, cb) ==
			      TC_ACT_REDIRECT &&
		      !cb[0] && !cb[1]);
}

static uint64_t denied_at(uint32_t slot)
{
	return node_counter(slot, PK_INGRESS, PK_REASON_POLICY_DENIED);
}

static void what_carries_it_is_not_judged(void)
{
	struct pkt p = pkt_v4(WHO_HOST, WHO_B, UDP(1000, 53));
	struct __sk_buff half = proven;
	uint64_t before = denied_at(2);

	make_host_tap(2, true);
	queue_length(2, 240);
	check("a packet that carries the proof goes on, counted nowhere",
	      run(NODE_TO, 2, p, &proven, NULL) == TC_ACT_UNSPEC && denied_at(2) == before);
	for (int i = 0; i < 2; i++) {
		half = proven;
		half.cb[i]++;
		check("half a proof is none", run(NODE_TO, 2, p, &half, NULL) == TC_ACT_SHOT &&
						      denied_at(2) == before + 1 + (uint64_t)i);
	}
	queue_length(2, 241);
	check("where its queues could hold too much it gets nothing",
	      run(NODE_TO, 2, p, &proven, NULL) == TC_ACT_SHOT && denied_at(2) == before + 2);
	node_to("nor of the node's own packets", 2, p, PK_REASON_RATE_LIMIT);
	make_host_tap(2, false);
	queue_length(2, 1000);
}

static void without_an_epoch_nothing_is_a_proof(void)
{
	const struct __sk_buff zero = { 0 };
	uint64_t before = denied_at(2);

	check("the control block of zeros",
	      run(NODE_TO, 2, pkt_v4(WHO_HOST, WHO_B, UDP(1000, 53)), &zero, NULL) == TC_ACT_SHOT &&
		      denied_at(2) == before + 1);
}

void cases_host_tap(void)
{
	node_reset();
	without_an_epoch_nothing_is_a_proof();
	node_settings(give_epoch);
	what_is_sent_there_carries_the_proof();
	what_carries_it_is_not_judged();
	node_reset();
}
