// SPDX-License-Identifier: Apache-2.0
/* The node with an uplink to the world. */
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <string.h>

#include "tests/bpf/devices.h"
#include "tests/bpf/world.h"

#define L3 14

static const uint8_t gateway_mac[6] = PK_GATEWAY_MAC;

static void uplink(struct pk_node *n)
{
	n->uplink[0] = (struct pk_uplink){ .ifindex = devices_uplink(),
					   .mtu = 1500,
					   .ipv4 = pkt_ip4(WHO_HOST),
					   .ipv6 = pkt_ip6(WHO_HOST) };
	n->masquerade_low = WORLD_LOW;
	n->masquerade_high = WORLD_HIGH;
	n->flags = PK_NODE_DEFAULT4 | PK_NODE_DEFAULT6;
	n->block[0] = (struct pk_block){ .addr = pkt_ip4(WHO_GATEWAY),
					 .mask = { .b = { 255, 255, 255, 255, 255, 255, 255, 255,
							  255, 255, 255, 255, 255, 255, 255 } } };
	n->block[0].addr.b[15] = 0;
}

void world_start(void)
{
	node_reset();
	node_settings(uplink);
	for (uint32_t slot = 1; slot <= 3; slot++)
		node_word(slot, slot == 3 ? 2 : 1, PK_WORD_MASQUERADE | PK_WORD_MASQUERADE6, 1);
}

uint16_t world_port(const struct pkt *p, size_t off)
{
	return (uint16_t)(p->b[off] << 8 | p->b[off + 1]);
}

void world_put_port(struct pkt *p, size_t off, uint16_t port)
{
	p->b[off] = (uint8_t)(port >> 8);
	p->b[off + 1] = (uint8_t)port;
}

bool world_one_hop(const struct pkt *is, const struct pkt *was)
{
	struct pkt want = *was;

	if (want.b[12] == 0x08)
		want.b[L3 + 8]--;
	else
		want.b[L3 + 7]--;
	pkt_seal(&want);
	return is->len == want.len && !memcmp(is->b + L3, want.b + L3, want.len - L3);
}

bool world_to(const struct pkt *p, enum who who)
{
	uint8_t mac[6];

	pkt_mac(who, mac);
	return !memcmp(p->b, mac, 6) && !memcmp(p->b + 6, gateway_mac, 6);
}

struct pkt world_to_node(enum who from, struct l4 l4)
{
	return pkt_v4_to(from, WORLD_NODE_V4, l4);
}

void world_untouched(const char *text, struct pkt p)
{
	struct pkt was = p;

	check(text, node_run(NODE_UP, 0, &p, NULL) == -1 && !memcmp(&p, &was, sizeof(p)));
}

static void publish(uint8_t proto, uint32_t addr, uint16_t port, uint32_t slot, uint16_t own)
{
	struct pk_published_key key = { .proto = proto, .port = htons(port) };
	struct pk_published to = { .slot = slot, .port = htons(own) };
	struct pk_open_port_key open = { .slot = slot, .proto = proto, .port = htons(own) };
	uint32_t published = PK_OPEN_PUBLISHED;

	if (addr) {
		key.addr = (union pk_addr){ .b = { [10] = 0xff, 0xff } };
		key.addr.w[3] = htonl(addr);
	}
	node_publish(&key, &to);
	bpf_map_update_elem(node_map("open_ports"), &open, &published, BPF_ANY);
}

void world_publish(uint32_t addr, uint16_t port, uint32_t slot, uint16_t own)
{
	publish(IPPROTO_TCP, addr, port, slot, own);
}

void world_publish_udp(uint16_t port, uint32_t slot, uint16_t own)
{
	publish(IPPROTO_UDP, 0, port, slot, own);
}

struct pkt world_says(struct pkt p, uint32_t seq, uint32_t ack, uint16_t window)
{
	uint8_t *tcp = p.b + L3 + 20;

	memcpy(tcp + 4, &(uint32_t){ htonl(seq) }, 4);
	memcpy(tcp + 8, &(uint32_t){ htonl(ack) }, 4);
	memcpy(tcp + 14, &(uint16_t){ htons(window) }, 2);
	pkt_seal(&p);
	return p;
}
