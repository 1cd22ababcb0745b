/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once
/* The basic shapes that BPF programs and user space share. Only <linux/types.h> is needed. */
#include <linux/types.h>

/*
 * One address of either family, 16 bytes in network order; IPv4 is v4-mapped
 * (::ffff:a.b.c.d, RFC 4291 2.5.5.2), so that one path serves both families.
 */
union pk_addr {
	__u8 b[16];
	__be32 w[4];
	__u64 d[2];
};
_Static_assert(sizeof(union pk_addr) == 16, "ABI: pk_addr");

/* Seen from the endpoint: egress leaves it, ingress enters it. */
enum pk_dir {
	PK_EGRESS = 0,
	PK_INGRESS = 1,
};
