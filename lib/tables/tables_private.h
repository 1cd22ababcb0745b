/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Private to the tables*.c files: what a handle remembers, and what they do for each other. */
#include <stddef.h>
#include <stdint.h>

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

/* An endpoint's ports (tables_ports.c); the node lock is held. */

/* Writes the ports. After a failure what was written stays, for pk_ports_delete. */
int pk_ports_write(struct pk_bpf *bpf, const struct pk_endpoint_open *open, struct pk_err *err);
void pk_ports_delete(struct pk_bpf *bpf, uint32_t slot);

/* The entries of a rule set that is claimed (tables_write.c). */

/*
 * Verdicts, lists (their numbers into entry->list), peer classes. On failure what was written
 * stays: scrub.
 */
int pk_rule_set_write(struct pk_bpf *bpf, uint32_t rule_set, const struct pk_image *image,
		      uint64_t deadline_ns, struct pk_rule_set *entry, struct pk_err *err);
/*
 * Removes a rule set's verdicts and peer classes; image NULL or not its own: by walking the tables.
 */
void pk_rule_set_scrub(struct pk_bpf *bpf, uint32_t rule_set, const struct pk_image *image);

/* The handle remembers that image's lists have entry's numbers. */
void pk_list_learn(struct pk_bpf *bpf, const struct pk_image *image,
		   const struct pk_rule_set *entry);
/* Deletes lists of an entry that was never made real and that nobody else has. */
void pk_list_drop_new(struct pk_bpf *bpf, const struct pk_rule_set *entry);
/* Deletes lists of a rule set that is gone, where no other one has them. image may be NULL. */
void pk_list_release(struct pk_bpf *bpf, uint32_t rule_set, const struct pk_rule_set *was,
		     const struct pk_image *image);
