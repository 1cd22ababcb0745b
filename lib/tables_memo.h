/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Private to the tables*.c files: what a handle remembers, and their common helpers. */
#include <stddef.h>
#include <stdint.h>

#include "bpfload.h"
#include "tables.h"

/*
 * Cidr lists are shared by content. The kernel keeps no digest of a list, so a handle remembers
 * those of the rule sets that it installed or found. A list that isn't remembered costs a second
 * copy, no more.
 */
struct pk_tables_list {
	uint64_t digest[2];
	uint32_t number;
};
struct pk_tables_memo {
	struct pk_tables_list *lists;
	size_t n_lists;
};
void pk_tables_memo_free(struct pk_tables_memo *memo);

/*
 * Takes the next number; 0: they are used up. 0 itself is never given, nor one with the top bit to
 * an identity or a tenant.
 */
uint32_t pk_number_take(struct pk_bpf *bpf, enum pk_number which);
int pk_tables_fail(struct pk_err *err, int r, enum pk_map map, const char *what);
/* The node lock is held by whoever calls these. */
int pk_base_write(struct pk_bpf *bpf, uint32_t tenant, uint32_t rule_set, struct pk_err *err);
int pk_labels_write_rule_set(struct pk_bpf *bpf, const uint64_t hash[2], uint32_t rule_set,
			     struct pk_err *err);
