/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Marks of a block's addresses, so that an ADD finds a free one without reading the lease
 * directory: one 32-bit word an address in /run/picket/pools/<block>, of the first
 * PK_MARKS_MAX addresses of the block. A mark is a hint. The lease file alone decides who has
 * an address, and where the marks name no free one the directory is read. A freed address rests by
 * its mark: it needs no file, and a reboot ends it.
 *
 * Marks are single aligned words, written without a lock: a lost one costs a second try.
 */
#include <stdbool.h>
#include <stdint.h>

#include "addr.h"
#include "err.h"
#include "own.h"

#define PK_MARKS_MAX 16384 /* more than a node has slots and frees in a minute */
#define PK_MARK_FREE 0u
#define PK_MARK_HELD UINT32_MAX /* any other value: freed at that second of boot time */

#define PK_LEASE_REST_S 60 /* a freed address rests this long while others are free */

struct pk_lease_dir;

struct pk_lease_marks {
	struct pk_prefix block;
	uint32_t *at; /* by distance from the block's first address */
};

/* Opens the block's marks. If it has none yet they are made as the lease directory says. */
int pk_lease_marks_open(const struct pk_lease_dir *dir, const struct pk_prefix *block,
			struct pk_lease_marks *marks, struct pk_err *err);
void pk_lease_marks_close(struct pk_lease_marks *marks);
#define own_lease_marks PK_OWN(pk_lease_marks_close) struct pk_lease_marks

/* Returns the address's mark; NULL: it lies outside of the block or beyond the marks. */
uint32_t *pk_lease_mark(const struct pk_lease_marks *marks, const union pk_addr *addr);
/* Returns the mark of an address that is freed at now_s (boot time). */
uint32_t pk_lease_mark_now(uint64_t now_s);
/* Returns whether an address with this mark rests at now_s. */
bool pk_lease_mark_rests(uint32_t mark, uint64_t now_s);
/* Writes addr's mark in every block that has marks. Blocks without are left so. */
void pk_lease_marks_set(const struct pk_lease_dir *dir, const union pk_addr *addr, uint32_t mark);
/* Calls each for every address that rests by its mark. */
void pk_lease_marks_resting(const struct pk_lease_dir *dir,
			    void (*each)(void *arg, const union pk_addr *addr, uint32_t freed_s),
			    void *arg);
/*
 * Lets each address rest that is marked as held and has no lease: whoever freed it was killed
 * before the mark. is_held is called for every address that is marked as held.
 */
void pk_lease_marks_settle(const struct pk_lease_dir *dir,
			   bool (*is_held)(void *arg, const union pk_addr *addr), void *arg);
