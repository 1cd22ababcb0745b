// SPDX-License-Identifier: Apache-2.0
/* Somebody outside, and A's published port. */
#include <arpa/inet.h>
#include <bpf/bpf.h>

#include "tests/bpf/stranger.h"

void stranger_start(void)
{
	world_start();
	world_publish(0, 8080, 1, 80);
}

void stranger_comes(const char *text, uint16_t sport, uint8_t flags, enum pk_reason reason)
{
	struct expect e = { text, reason, 1, PK_INGRESS, false };
	struct pkt p = world_to_node(WHO_WORLD, TCP(sport, 8080, flags));

	node_expect(&e, NODE_UP, 0, &p, NULL);
}

void stranger_answered(const char *text, uint16_t sport, uint8_t flags)
{
	node_from(text, 1, pkt_v4(WHO_A, WHO_WORLD, TCP(80, sport, flags)), PK_REASON_OK);
}

bool stranger_flow(uint16_t sport, struct pk_flow_key *key, struct pk_flow *flow)
{
	*key = (struct pk_flow_key){ .src = pkt_ip4(WHO_WORLD),
				     .dst = pkt_ip4(WHO_HOST),
				     .sport = htons(sport),
				     .dport = htons(8080),
				     .proto = 6 };
	key->dst.w[3] = htonl(WORLD_NODE_V4);
	return check("the world's flow", !bpf_map_lookup_elem(node_map("flows"), key, flow));
}
