/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Numbers, words, label sets, and what is the node's. Slots: tables_slot.c; rule sets:
 * tables_rules.c.
 */
#include "tables.h"

#include <errno.h>
#include <linux/bpf.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "fault.h"
#include "own.h"
#include "tables_private.h"

void pk_tables_memo_free(struct pk_tables_memo *memo)
{
	if (memo)
		free(memo->lists);
	free(memo);
}

int pk_tables_fail(struct pk_err *err, int r, enum pk_map map, const char *what)
{
	if (r != -E2BIG && r != -ENOSPC)
		return pk_code(err, pk_fail(err, -r, "table %s: %s", pk_map_name(map), what),
			       PK_CODE_KERNEL);
	pk_code(err, pk_fail(err, ENOSPC, "table %s: %s", pk_map_name(map), what),
		PK_CODE_CAPACITY);
	return pk_fix(err, -ENOSPC, PK_FIX_CAPACITY);
}

static int flush_one(void *arg, const void *key, const void *value)
{
	(void)value;
	pk_map_delete(*(int *)arg, key);
	return 0;
}

/* Revisions wrap at 32 bits: a flow of the last round must not meet its own number again. */
static uint32_t wrapped(struct pk_bpf *bpf)
{
	pk_map_each(bpf->map[PK_MAP_FLOWS], flush_one, &bpf->map[PK_MAP_FLOWS]);
	return (uint32_t)__atomic_add_fetch(&bpf->numbers[PK_NUMBER_REVISION], 1, __ATOMIC_SEQ_CST);
}

uint32_t pk_number_take(struct pk_bpf *bpf, enum pk_number which)
{
	uint64_t n = __atomic_add_fetch(&bpf->numbers[which], 1, __ATOMIC_SEQ_CST);

	if (which == PK_NUMBER_REVISION)
		return (uint32_t)n ? (uint32_t)n : wrapped(bpf);
	return n < PK_PEER_TENANT ? (uint32_t)n : 0;
}

uint64_t pk_word(const struct pk_bpf *bpf, uint32_t slot)
{
	return slot && slot <= bpf->node.capacity
		       ? __atomic_load_n(&bpf->words[slot], __ATOMIC_SEQ_CST)
		       : 0;
}

int pk_word_switch(struct pk_bpf *bpf, uint32_t slot, uint64_t from, uint32_t rule_set,
		   uint32_t flags, uint64_t *now, struct pk_err *err)
{
	uint64_t to;

	if (!from)
		return pk_fail(err, EPERM, "slot %u is closed", slot);
	if (!slot || slot > bpf->node.capacity)
		return pk_fail(err, 0, "slot %u does not exist", slot);
	to = PK_WORD(rule_set, flags, pk_number_take(bpf, PK_NUMBER_REVISION));
	if (!__atomic_compare_exchange_n(&bpf->words[slot], &from, to, false, __ATOMIC_SEQ_CST,
					 __ATOMIC_SEQ_CST))
		return pk_fail(err, EAGAIN, "the word of slot %u has changed", slot);
	if (now)
		*now = to;
	return 0;
}

int pk_word_renew(struct pk_bpf *bpf, uint32_t slot, struct pk_err *err)
{
	int r;

	do {
		uint64_t from = pk_word(bpf, slot);

		r = pk_word_switch(bpf, slot, from, PK_WORD_RULE_SET(from), PK_WORD_FLAGS(from),
				   NULL, err);
	} while (r == -EAGAIN);
	return r;
}

int pk_labels_get(const struct pk_bpf *bpf, const uint64_t hash[2], struct pk_labels *out)
{
	struct pk_labels_key key = { .hash = { hash[0], hash[1] } };

	return pk_map_get(bpf->map[PK_MAP_LABELS], &key, out);
}

static int write_labels(struct pk_bpf *bpf, const uint64_t hash[2], const struct pk_labels *value,
			uint64_t flags, struct pk_err *err)
{
	struct pk_labels_key key = { .hash = { hash[0], hash[1] } };
	int r = pk_map_set(bpf->map[PK_MAP_LABELS], &key, value, flags);

	return r < 0 ? pk_tables_fail(err, r, PK_MAP_LABELS, "write a label set") : 0;
}

static int used_up(struct pk_err *err, const char *what)
{
	int r = pk_code(err, pk_fail(err, ENOSPC, "%s numbers are used up", what),
			PK_CODE_CAPACITY);

	return pk_fix(err, r, "reboot the node");
}

int pk_tenant_get(const struct pk_bpf *bpf, const uint64_t tenant[2], uint32_t *out)
{
	struct pk_labels found;
	int r = pk_labels_get(bpf, tenant, &found);

	if (r == 0)
		*out = found.tenant;
	return r;
}

/* The node lock is held. A tenant is kept as a label set of its own, which has no identity. */
static int take_tenant(struct pk_bpf *bpf, const uint64_t tenant[2], uint32_t *out,
		       struct pk_err *err)
{
	struct pk_labels made = { 0 };
	int r = pk_tenant_get(bpf, tenant, out);

	if (r != -ENOENT)
		return r < 0 ? pk_tables_fail(err, r, PK_MAP_LABELS, "read a tenant") : 0;
	made.tenant = pk_number_take(bpf, PK_NUMBER_TENANT);
	if (!made.tenant)
		return used_up(err, "tenant");
	r = write_labels(bpf, tenant, &made, BPF_NOEXIST, err);
	if (r == 0)
		*out = made.tenant;
	return r;
}

int pk_tenant_take(struct pk_bpf *bpf, const uint64_t tenant[2], uint64_t deadline_ns,
		   uint32_t *out, struct pk_err *err)
{
	own_fd int lock = -1;
	int r;

	if (pk_tenant_get(bpf, tenant, out) == 0)
		return 0;
	r = pk_node_lock(bpf->paths, deadline_ns, &lock, err);
	return r < 0 ? r : take_tenant(bpf, tenant, out, err);
}

/* The node lock is held. */
static int take_labels(struct pk_bpf *bpf, const struct pk_labels_want *want, struct pk_labels *out,
		       struct pk_err *err)
{
	struct pk_labels made = { 0 };
	int r = pk_labels_get(bpf, want->hash, out);

	if (r != -ENOENT)
		return r < 0 ? pk_tables_fail(err, r, PK_MAP_LABELS, "read a label set") : 0;
	r = want->no_tenant ? 0 : take_tenant(bpf, want->tenant, &made.tenant, err);
	if (r < 0)
		return r;
	pk_fault("tenant-numbered");
	made.identity = pk_number_take(bpf, PK_NUMBER_IDENTITY);
	if (!made.identity)
		return used_up(err, "identity");
	r = write_labels(bpf, want->hash, &made, BPF_NOEXIST, err);
	if (r == 0)
		*out = made;
	return r;
}

int pk_labels_take(struct pk_bpf *bpf, const struct pk_labels_want *want, uint64_t deadline_ns,
		   struct pk_labels *out, struct pk_err *err)
{
	own_fd int lock = -1;
	int r;

	if (pk_labels_get(bpf, want->hash, out) == 0)
		return 0;
	r = pk_node_lock(bpf->paths, deadline_ns, &lock, err);
	return r < 0 ? r : take_labels(bpf, want, out, err);
}

int pk_labels_write_rule_set(struct pk_bpf *bpf, const uint64_t hash[2], uint32_t rule_set,
			     struct pk_err *err)
{
	struct pk_labels value;
	int r = pk_labels_get(bpf, hash, &value);

	if (r < 0)
		return pk_tables_fail(err, r, PK_MAP_LABELS, "name a rule set");
	if (value.rule_set == rule_set)
		return 0;
	value.rule_set = rule_set;
	return write_labels(bpf, hash, &value, BPF_EXIST, err);
}

int pk_labels_name(struct pk_bpf *bpf, const uint64_t hash[2], uint32_t rule_set,
		   uint64_t deadline_ns, struct pk_err *err)
{
	own_fd int lock = -1;
	int r = pk_node_lock(bpf->paths, deadline_ns, &lock, err);

	return r < 0 ? r : pk_labels_write_rule_set(bpf, hash, rule_set, err);
}

int pk_labels_forget(struct pk_bpf *bpf, const uint64_t hash[2], uint64_t deadline_ns,
		     struct pk_err *err)
{
	struct pk_labels_key key = { .hash = { hash[0], hash[1] } };
	own_fd int lock = -1;
	int r = pk_node_lock(bpf->paths, deadline_ns, &lock, err);

	if (r < 0)
		return r;
	r = pk_map_delete(bpf->map[PK_MAP_LABELS], &key);
	return r < 0 && r != -ENOENT ? pk_tables_fail(err, r, PK_MAP_LABELS, "forget a label set")
				     : 0;
}

int pk_base_write(struct pk_bpf *bpf, uint32_t tenant, uint32_t rule_set, struct pk_err *err)
{
	int map = bpf->map[PK_MAP_BASES], r;

	if (rule_set)
		r = pk_map_set(map, &tenant, &rule_set, BPF_ANY);
	else
		r = pk_map_delete(map, &tenant);
	if (r == -ENOENT && !rule_set)
		r = 0;
	return r < 0 ? pk_tables_fail(err, r, PK_MAP_BASES, "name a base") : 0;
}

int pk_base_name(struct pk_bpf *bpf, uint32_t tenant, uint32_t rule_set, uint64_t deadline_ns,
		 struct pk_err *err)
{
	own_fd int lock = -1;
	int r = pk_node_lock(bpf->paths, deadline_ns, &lock, err);

	return r < 0 ? r : pk_base_write(bpf, tenant, rule_set, err);
}

int pk_rule_set_of(const struct pk_bpf *bpf, const struct pk_labels *labels, uint32_t *rule_set)
{
	*rule_set = labels->rule_set;
	return *rule_set ? 0 : pk_map_get(bpf->map[PK_MAP_BASES], &labels->tenant, rule_set);
}

int pk_remote_set(struct pk_bpf *bpf, const union pk_addr *addr, const struct pk_remote *remote,
		  struct pk_err *err)
{
	int r = pk_map_set(bpf->map[PK_MAP_REMOTE], addr, remote, BPF_ANY);

	return r < 0 ? pk_tables_fail(err, r, PK_MAP_REMOTE, "write a remote address") : 0;
}

int pk_remote_delete(struct pk_bpf *bpf, const union pk_addr *addr, const struct pk_remote *was,
		     struct pk_err *err)
{
	struct pk_remote is;
	int r = pk_map_get(bpf->map[PK_MAP_REMOTE], addr, &is);

	if (r == -ENOENT)
		return 0;
	if (r == 0 && (is.owner != was->owner || is.generation != was->generation))
		return pk_fail(err, EAGAIN, "a remote address has another owner by now");
	if (r == 0)
		r = pk_map_delete(bpf->map[PK_MAP_REMOTE], addr);
	return r < 0 ? pk_tables_fail(err, r, PK_MAP_REMOTE, "delete a remote address") : 0;
}

int pk_node_update(struct pk_bpf *bpf, void (*edit)(void *arg, struct pk_node *node), void *arg,
		   uint64_t deadline_ns, struct pk_err *err)
{
	static const uint32_t zero;
	struct pk_node was, now;
	own_fd int lock = -1;
	int r = pk_node_lock(bpf->paths, deadline_ns, &lock, err);

	if (r < 0)
		return r;
	r = pk_map_get(bpf->map[PK_MAP_NODE], &zero, &was);
	now = was;
	if (r == 0) {
		edit(arg, &now);
		memcpy(now.epoch, was.epoch, sizeof(now.epoch));
		now.layout = was.layout;
		now.capacity = was.capacity;
		now.rule_sets = was.rule_sets;
		if (now.flow_budget > was.flow_budget)
			now.flow_budget = was.flow_budget;
		r = memcmp(&now, &was, sizeof(now))
			    ? pk_map_set(bpf->map[PK_MAP_NODE], &zero, &now, BPF_ANY)
			    : 0;
	}
	if (r < 0)
		return pk_tables_fail(err, r, PK_MAP_NODE, "update");
	bpf->node = now;
	return 0;
}
