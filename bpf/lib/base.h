/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once
/* Every BPF file includes this first: types, helpers, byte order, and our few macros. */
#include <stdbool.h>
#include <stddef.h>
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>
#include "picket/maps.h"
#include "picket/query.h"
#include "picket/reason.h"

#define likely(x)   __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)
/* These stand here because <errno.h> and <sys/socket.h> need a C library. */
#define PK_EEXIST	 17
#define AF_INET		 2
#define AF_INET6	 10
#define READ_ONCE(x)	 (*(const volatile __typeof__(x) *)&(x))
#define WRITE_ONCE(x, v) (*(volatile __typeof__(x) *)&(x) = (v))

/*
 * Gives `p`, for a load that must come after the load that gave `value`. A weakly ordered processor
 * keeps two loads in order where the address of the second depends on the first. The address is
 * made to depend by adding zero, in a way that neither compiler nor verifier may leave out.
 */
#define pk_after(p, value)                                                                         \
	({                                                                                         \
		__u64 nothing_ = (value);                                                          \
		__typeof__(p) after_ = (p);                                                        \
		asm volatile("%[n] &= 0; %[a] += %[n]" : [a] "+r"(after_), [n] "+r"(nothing_));    \
		after_;                                                                            \
	})

static __always_inline bool pk_addr_same(const union pk_addr *a, const union pk_addr *b)
{
	return a->d[0] == b->d[0] && a->d[1] == b->d[1];
}

/* Compares two addresses as numbers of 16 bytes. */
static __always_inline bool pk_addr_below(const union pk_addr *a, const union pk_addr *b)
{
	__u64 high_a = bpf_be64_to_cpu(a->d[0]), high_b = bpf_be64_to_cpu(b->d[0]);

	if (high_a != high_b)
		return high_a < high_b;
	return bpf_be64_to_cpu(a->d[1]) < bpf_be64_to_cpu(b->d[1]);
}

static __always_inline bool pk_addr_zero(const union pk_addr *a)
{
	return !(a->d[0] | a->d[1]);
}

#define PK_V4_MAPPED bpf_htonl(0xffff)

static __always_inline bool pk_addr_is_v4(const union pk_addr *a)
{
	return !a->d[0] && a->w[2] == PK_V4_MAPPED;
}
