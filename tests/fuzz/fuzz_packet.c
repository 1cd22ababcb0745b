/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guard's parser, the same file that is compiled for BPF: any bytes, any cut between the
 * linear part and the rest. No read beyond the linear part (ASan), and what it calls ok must hold
 * together.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "bpf/lib/parse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool ok)
{
	if (!ok)
		abort();
}

static void holds(const struct pk_pkt *pkt, size_t size)
{
	__u16 kind = pkt->flags & (PK_PKT_ARP | PK_PKT_IPV4 | PK_PKT_IPV6);

	check(kind && !(kind & (kind - 1)));
	if (kind == PK_PKT_ARP)
		return;
	check(pkt->l3_len + ETH_HLEN <= size);
	check(pkt->l4_off >= ETH_HLEN + 20 && pkt->l4_off <= ETH_HLEN + pkt->l3_len);
	check(pkt->payload <= pkt->l3_len);
	check(pkt->proto);
	check((pkt->flags & PK_PKT_FRAGMENT) != PK_PKT_FRAGMENT);
	if (pkt->flags & PK_PKT_LATER)
		check(!(pkt->flags & (PK_PKT_PORTS | PK_PKT_ICMP_OTHER)) && pkt->payload);
	if (pkt->flags & PK_PKT_PORTS)
		check(pkt->sport && pkt->dport && pkt->judged_port == pkt->dport);
	if (kind == PK_PKT_IPV4)
		check(!pkt->src.d[0] && !pkt->dst.d[0] && pkt->src.w[2] == bpf_htonl(0xffff));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct pk_pkt pkt = {};
	struct pk_cursor c;
	size_t linear;
	uint8_t *copy;
	int reason;

	if (size < 2)
		return 0;
	linear = data[0] == 0xff ? size - 1 : data[0] * 2u;
	if (linear > size - 1)
		linear = size - 1;
	/*
	 * Its own allocation, so that a read behind the linear part is seen; two bytes of room
	 * align IP.
	 */
	copy = malloc(linear + 2);
	if (!copy)
		return 0;
	memcpy(copy + 2, data + 1, linear);
	c.data = copy + 2;
	c.end = copy + 2 + linear;
	reason = pk_parse(&c, size - 1, &pkt);
	check(reason >= 0 && reason < PK_REASON_COUNT);
	if (!reason)
		holds(&pkt, size - 1);
	free(copy);
	return 0;
}
