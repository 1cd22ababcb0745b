/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The node's real devices, and what goes through them. pk1 to pk4 stand in the test's namespace,
 * their peers e1 to e4 (even ifindexes) and the taps tap1 to tap4 (the odd ones behind them) in the
 * guests'. The guard is attached to the ingress of each pk and of up0, the forwarders to those of
 * e and tap.
 */
#include <stdbool.h>
#include <stdint.h>

#include "tests/bpf/pkt.h"

int devices_start(void); /* 0 or -errno, said */
/* The programs' descriptors, by enum node_prog. */
int devices_attach(const int *programs);
int devices_guard(int from_endpoint); /* another one in the guard's place */
void devices_stop(void);
uint32_t devices_host(uint32_t slot); /* ifindex of its pk */
uint32_t devices_uplink(void);	      /* of up0 */

#define DEVICES_OVERLAY 102 /* ifindex of ov0, UDP port 8479 */

/* Where a frame came out. */
struct arrival {
	enum {
		AT_NOBODY,
		AT_GUEST,  /* at the e of slot */
		AT_STACK,  /* at the node's stack, from the pk of slot or from up0 (0) */
		AT_UPLINK, /* behind up0 */
	} at;
	uint32_t slot;
	struct pkt p;
};

/* Forgets what has come so far. */
void devices_drain(void);
/* Sends as what leaves endpoint `slot`, or as what comes in by up0 (0). 0 or -errno. */
int devices_send(uint32_t slot, const struct pkt *p);
/* The next frame that the guard let go, within so many milliseconds. */
bool devices_receive(struct arrival *a, int ms);

/* What a VMM says beside a frame: struct virtio_net_hdr. */
struct vnet {
	uint8_t flags; /* 1: the checksum is partial */
	uint8_t gso_type;
	uint16_t hdr_len, gso_size, csum_start, csum_offset;
};
#define VNET_PARTIAL 1
#define VNET_TCPV4   1
#define VNET_TCPV6   4
#define VNET_UDP_L4  5
#define VNET_ECN     0x80

/* Writes a frame of any length into the tap of slot. 0 or -errno. */
int devices_tap_write(uint32_t slot, const struct vnet *vnet, const uint8_t *frame, size_t len);
/* May a tap's writer leave UDP segmentation to the kernel? Linux 6.2 and up. */
bool devices_tap_cuts_udp(void);
/* What comes out of the tap of slot within so many milliseconds: its length, or -errno. */
int devices_tap_read(uint32_t slot, struct vnet *vnet, uint8_t *frame, size_t size, int ms);
