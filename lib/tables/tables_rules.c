/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rule sets: built aside under an index that the node lock gives out, filled without it, made
 * real by their rule_sets entry. Whatever fails takes away all that it wrote.
 */
#include <errno.h>
#include <linux/bpf.h>
#include <string.h>
#include <time.h>

#include "fault.h"
#include "fs.h"
#include "own.h"
#include "rcu.h"
#include "tables.h"
#include "tables_private.h"

/* A claim that nobody finished in this time is a dead process's. */
#define CLAIM_S 120

static struct pk_rule_set *read_all(const struct pk_bpf *bpf)
{
	struct pk_rule_set *all = pk_alloc(bpf->node.rule_sets * sizeof(*all));

	if (pk_map_get_range(bpf->map[PK_MAP_RULE_SETS], 0, bpf->node.rule_sets, all) == 0)
		return all;
	free(all);
	return NULL;
}

static bool is_ready(const struct pk_rule_set *entry)
{
	return entry->entries && !(entry->entries & PK_RULE_SET_CLAIM);
}

static uint32_t find_in(const struct pk_bpf *bpf, const struct pk_rule_set *all,
			const uint64_t digest[2])
{
	for (uint32_t i = 1; i < bpf->node.rule_sets; i++)
		if (is_ready(&all[i]) && !memcmp(all[i].digest, digest, sizeof(all[i].digest)))
			return i;
	return 0;
}

uint32_t pk_rule_set_find(const struct pk_bpf *bpf, const uint64_t digest[2])
{
	own_mem struct pk_rule_set *all = read_all(bpf);

	return all ? find_in(bpf, all, digest) : 0;
}

int pk_rule_set_get(const struct pk_bpf *bpf, uint32_t rule_set, struct pk_rule_set *out)
{
	int r = pk_map_get(bpf->map[PK_MAP_RULE_SETS], &rule_set, out);

	return r < 0 || !rule_set || !is_ready(out) ? -ENOENT : 0;
}

bool *pk_rule_sets_there(const struct pk_bpf *bpf)
{
	own_mem struct pk_rule_set *all = read_all(bpf);
	bool *there;

	if (!all)
		return NULL;
	there = pk_alloc(bpf->node.rule_sets * sizeof(*there));
	for (uint32_t i = 1; i < bpf->node.rule_sets; i++)
		there[i] = is_ready(&all[i]);
	return there;
}

static int write_entry(struct pk_bpf *bpf, uint32_t rule_set, const struct pk_rule_set *entry,
		       struct pk_err *err)
{
	int r = pk_map_set(bpf->map[PK_MAP_RULE_SETS], &rule_set, entry, BPF_ANY);

	return r < 0 ? pk_tables_fail(err, r, PK_MAP_RULE_SETS, "write") : 0;
}

static bool is_free(const struct pk_rule_set *entry)
{
	if (!(entry->entries & PK_RULE_SET_CLAIM))
		return !entry->entries;
	return entry->digest[1] && pk_boot_seconds() - entry->digest[0] > CLAIM_S;
}

static int no_room(struct pk_err *err, const char *what, size_t used, size_t size)
{
	int r = pk_code(err, pk_fail(err, ENOSPC, "%s: %zu of %zu are taken", what, used, size),
			PK_CODE_CAPACITY);

	return pk_fix(err, r, PK_FIX_CAPACITY);
}

/*
 * Claims the lowest free index, marked with the number of its verdicts to come; the node lock is
 * held.
 */
static int claim(struct pk_bpf *bpf, const struct pk_rule_set *all, size_t n, uint32_t *index,
		 struct pk_err *err)
{
	struct pk_rule_set mark = { .entries = PK_RULE_SET_CLAIM | (uint32_t)n,
				    .digest = { pk_boot_seconds(), 1 } };
	uint32_t found = 0;
	size_t used = 0;
	struct pk_map_info info;
	int r = pk_map_info(bpf->map[PK_MAP_VERDICTS], &info);

	if (r < 0)
		return pk_tables_fail(err, r, PK_MAP_VERDICTS, "read");
	for (uint32_t i = bpf->node.rule_sets - 1; i; i--) {
		used += all[i].entries & ~PK_RULE_SET_CLAIM;
		if (is_free(&all[i]))
			found = i;
	}
	if (used + n > info.max_entries)
		return no_room(err, "verdicts", used, info.max_entries);
	if (!found)
		return no_room(err, "rule sets", bpf->node.rule_sets - 1, bpf->node.rule_sets - 1);
	/* Entries that a dead claimant left there would mix with ours. */
	if (all[found].entries)
		pk_rule_set_scrub(bpf, found, NULL);
	*index = found;
	return write_entry(bpf, found, &mark, err);
}

static void unclaim(struct pk_bpf *bpf, uint32_t index)
{
	static const struct pk_rule_set nothing;

	write_entry(bpf, index, &nothing, NULL);
}

/* The tenant whose base the caller wants the rule set to be in the same step. */
struct naming {
	bool base;
	uint32_t tenant;
};

static int name_it(struct pk_bpf *bpf, const struct naming *name, uint32_t index,
		   struct pk_err *err)
{
	return name->base ? pk_base_write(bpf, name->tenant, index, err) : 0;
}

/*
 * Returns 1 where an equal rule set is there (and has been named), 0 where *index is claimed, or
 * -errno.
 */
static int find_or_claim(struct pk_bpf *bpf, struct pk_image *image, const struct naming *name,
			 uint64_t deadline_ns, uint32_t *index, struct pk_err *err)
{
	own_mem struct pk_rule_set *all = NULL;
	own_fd int lock = -1;
	int r = pk_node_lock(bpf->paths, deadline_ns, &lock, err);

	if (r < 0)
		return r;
	all = read_all(bpf);
	if (!all)
		return pk_tables_fail(err, -EIO, PK_MAP_RULE_SETS, "read");
	*index = find_in(bpf, all, image->digest);
	if (!*index)
		return claim(bpf, all, image->n_verdicts, index, err);
	pk_list_learn(bpf, image, &all[*index]);
	r = name_it(bpf, name, *index, err);
	return r < 0 ? r : 1;
}

/* The claimed rule set is written whole: make it real, or use one that somebody else made. */
static int finish(struct pk_bpf *bpf, struct pk_image *image, const struct naming *name,
		  uint64_t deadline_ns, uint32_t *index, struct pk_rule_set *entry,
		  struct pk_err *err)
{
	own_fd int lock = -1;
	uint32_t other;
	int r = pk_node_lock(bpf->paths, deadline_ns, &lock, err);

	if (r < 0)
		return r;
	other = pk_rule_set_find(bpf, image->digest);
	if (other) {
		pk_rule_set_scrub(bpf, *index, image);
		pk_list_drop_new(bpf, entry);
		unclaim(bpf, *index);
		*index = other;
		return name_it(bpf, name, other, err);
	}
	r = write_entry(bpf, *index, entry, err);
	pk_fault("rule-set-made");
	return r == 0 ? name_it(bpf, name, *index, err) : r;
}

static int install(struct pk_bpf *bpf, struct pk_image *image, const struct naming *name,
		   uint64_t deadline_ns, uint32_t *rule_set, struct pk_err *err)
{
	struct pk_rule_set entry = {
		.entries = image->n_verdicts ? (uint32_t)image->n_verdicts : 1,
		.flags = image->flags | (image->audit ? PK_RULE_SET_AUDIT : 0),
		.digest = { image->digest[0], image->digest[1] },
	};
	uint32_t index = 0;
	int r = find_or_claim(bpf, image, name, deadline_ns, &index, err);

	if (r != 0) {
		*rule_set = r > 0 ? index : *rule_set;
		return r > 0 ? 0 : r;
	}
	pk_fault("rule-set-claimed");
	r = pk_rule_set_write(bpf, index, image, deadline_ns, &entry, err);
	pk_fault("rule-set-filled");
	if (r == 0)
		r = finish(bpf, image, name, deadline_ns, &index, &entry, err);
	if (r < 0) {
		pk_rule_set_scrub(bpf, index, image);
		pk_list_drop_new(bpf, &entry);
		unclaim(bpf, index);
		return r;
	}
	pk_list_learn(bpf, image, &entry);
	*rule_set = index;
	return 0;
}

int pk_rule_set_install(struct pk_bpf *bpf, struct pk_image *image, uint64_t deadline_ns,
			uint32_t *rule_set, struct pk_err *err)
{
	static const struct naming nobody;

	return install(bpf, image, &nobody, deadline_ns, rule_set, err);
}

int pk_rule_set_install_base(struct pk_bpf *bpf, struct pk_image *image, uint32_t tenant,
			     uint64_t deadline_ns, uint32_t *rule_set, struct pk_err *err)
{
	const struct naming base = { .base = true, .tenant = tenant };

	return install(bpf, image, &base, deadline_ns, rule_set, err);
}

struct named {
	uint32_t rule_set;
};

static int base_names(void *arg, const void *key, const void *value)
{
	(void)key;
	return *(const uint32_t *)value == ((struct named *)arg)->rule_set;
}

static int label_names(void *arg, const void *key, const void *value)
{
	(void)key;
	return ((const struct pk_labels *)value)->rule_set == ((struct named *)arg)->rule_set;
}

static bool word_or_base_names(const struct pk_bpf *bpf, uint32_t rule_set)
{
	struct named named = { .rule_set = rule_set };

	for (uint32_t slot = 1; slot <= bpf->node.capacity; slot++)
		if (PK_WORD_RULE_SET(pk_word(bpf, slot)) == rule_set)
			return true;
	return pk_map_each(bpf->map[PK_MAP_BASES], base_names, &named) != 0;
}

static bool labels_name(const struct pk_bpf *bpf, uint32_t rule_set)
{
	struct named named = { .rule_set = rule_set };

	return pk_map_each(bpf->map[PK_MAP_LABELS], label_names, &named) != 0;
}

/* A table that can't be read counts as one that still refers to the rule set. */
bool pk_rule_set_used(const struct pk_bpf *bpf, uint32_t rule_set)
{
	return word_or_base_names(bpf, rule_set) || labels_name(bpf, rule_set);
}

static int still_named(struct pk_err *err, uint32_t rule_set)
{
	return pk_fail(err, EBUSY, "rule set %u is still named", rule_set);
}

/*
 * The entry becomes a claim before anything is deleted: nobody can share the rule set any more.
 * ADDs name rule sets by words and bases, so these are looked at under the lock.
 */
static int retire(struct pk_bpf *bpf, uint32_t rule_set, struct pk_rule_set *was,
		  uint64_t deadline_ns, struct pk_err *err)
{
	own_fd int lock = -1;
	struct pk_rule_set gone;
	int r = pk_node_lock(bpf->paths, deadline_ns, &lock, err);

	if (r < 0)
		return r;
	if (pk_map_get(bpf->map[PK_MAP_RULE_SETS], &rule_set, was) < 0 || !was->entries)
		return -ENOENT;
	if (word_or_base_names(bpf, rule_set))
		return still_named(err, rule_set);
	gone = *was;
	gone.entries |= PK_RULE_SET_CLAIM;
	gone.digest[0] = pk_boot_seconds();
	gone.digest[1] = 1;
	return write_entry(bpf, rule_set, &gone, err);
}

int pk_rule_set_free(struct pk_bpf *bpf, uint32_t rule_set, const struct pk_image *image,
		     uint64_t deadline_ns, struct pk_err *err)
{
	struct pk_rule_set was;
	int r;

	if (!rule_set || rule_set >= bpf->node.rule_sets)
		return pk_fail(err, 0, "rule set %u does not exist", rule_set);
	/*
	 * The label sets are looked at without the lock, since a large table would keep ADDs
	 * waiting: picketd alone names rule sets there, and it is picketd that frees.
	 */
	if (labels_name(bpf, rule_set))
		return still_named(err, rule_set);
	r = retire(bpf, rule_set, &was, deadline_ns, err);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	r = pk_rcu_wait(err);
	if (r < 0) /* it stays claimed, and is freed once the claim is old */
		return r;
	/* Changed in place it may hold classes that its last image no longer has. */
	if (image && was.entries != image->n_verdicts)
		image = NULL;
	pk_rule_set_scrub(bpf, rule_set, image);
	pk_list_release(bpf, rule_set, &was, image);
	unclaim(bpf, rule_set);
	return 0;
}
