/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* tables_rules.c and tables_write.c alone use this: the entries of a rule set that is claimed. */
#include "tables.h"

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
