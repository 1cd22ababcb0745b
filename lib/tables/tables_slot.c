/* SPDX-License-Identifier: Apache-2.0 */
/* Slots and the endpoints in them: taken, written, opened, switched, closed, freed. */
#include <errno.h>
#include <linux/bpf.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "device.h"
#include "fault.h"
#include "fs.h"
#include "flows.h"
#include "nl.h"
#include "own.h"
#include "str.h"
#include "tables.h"
#include "tables_private.h"

/*
 * The owner stamp of a taken slot (pk_endpoint.owner): in the upper 48 bits a hash of the owner,
 * never 0, and in the lower 16 the boot time in seconds when it was taken. DEL and ADD take a slot
 * with their own hash for their own; with a hash of 32 bits a busy node would take another's once
 * in some ten million endpoints. After 18 hours the time has wrapped, and an age is too small for a
 * while.
 */
#define STAMP_OWNER (~(uint64_t)UINT16_MAX)

static uint64_t owner_hash(const char *owner)
{
	uint64_t hash[2];

	pk_hash128(owner, strlen(owner), hash);
	return (hash[0] & STAMP_OWNER) ?: STAMP_OWNER;
}

static uint64_t stamp_of(const struct pk_bpf *bpf, uint32_t slot)
{
	return __atomic_load_n(&bpf->endpoints[slot].owner, __ATOMIC_SEQ_CST);
}

static bool in_range(const struct pk_bpf *bpf, uint32_t slot)
{
	return slot && slot <= bpf->node.capacity;
}

bool pk_slot_taken(const struct pk_bpf *bpf, uint32_t slot)
{
	return in_range(bpf, slot) && stamp_of(bpf, slot);
}

uint32_t pk_slot_age(const struct pk_bpf *bpf, uint32_t slot)
{
	return (uint16_t)(pk_boot_seconds() - stamp_of(bpf, slot));
}

uint32_t pk_slot_of(const struct pk_bpf *bpf, const char *owner, uint32_t after)
{
	uint64_t hash = owner_hash(owner);

	for (uint32_t slot = after + 1; slot <= bpf->node.capacity; slot++)
		if ((stamp_of(bpf, slot) & STAMP_OWNER) == hash)
			return slot;
	return 0;
}

/*
 * Returns whether no device has the slot's name. Where a device of an earlier load, or of somebody
 * else, has it, the slot isn't ours to give. Netlink is asked, since an ioctl makes the kernel run
 * modprobe for a name that nobody has.
 */
static bool name_is_free(struct pk_nl *nl, uint32_t slot)
{
	char name[PK_HOST_NAME_ROOM];
	struct pk_nl_link link;

	pk_host_name(slot, name);
	return pk_nl_link(nl, 0, name, &link, NULL) == -ENODEV;
}

static bool never_used(const struct pk_bpf *bpf, uint32_t slot)
{
	return !bpf->endpoints[slot].host_ifindex && !pk_word(bpf, slot);
}

static uint32_t choose_slot(const struct pk_bpf *bpf, struct pk_nl *nl, const char *owner)
{
	for (uint32_t slot = pk_slot_of(bpf, owner, 0); slot; slot = pk_slot_of(bpf, owner, slot))
		if (never_used(bpf, slot) && name_is_free(nl, slot))
			return slot;
	for (uint32_t slot = 1; slot <= bpf->node.capacity; slot++)
		if (!stamp_of(bpf, slot) && !pk_word(bpf, slot) && name_is_free(nl, slot))
			return slot;
	return 0;
}

int pk_slot_take(struct pk_bpf *bpf, const char *owner, uint64_t deadline_ns, uint32_t *slot,
		 struct pk_err *err)
{
	own_nl *nl = NULL;
	own_fd int lock = -1;
	uint32_t found;
	int r = pk_nl_open(&nl, err);

	if (r == 0)
		r = pk_node_lock(bpf->paths, deadline_ns, &lock, err);
	if (r < 0)
		return r;
	found = choose_slot(bpf, nl, owner);
	if (!found) {
		r = pk_code(err,
			    pk_fail(err, ENOSPC, "all %u slots for endpoints are taken",
				    bpf->node.capacity),
			    PK_CODE_CAPACITY);
		return pk_fix(err, r, PK_FIX_CAPACITY ", or picket sweep");
	}
	__atomic_store_n(&bpf->endpoints[found].owner,
			 owner_hash(owner) | (uint16_t)pk_boot_seconds(), __ATOMIC_SEQ_CST);
	pk_fault("slot-taken");
	*slot = found;
	return 0;
}

int pk_endpoint_device(struct pk_bpf *bpf, uint32_t slot, uint32_t host_ifindex, struct pk_err *err)
{
	struct pk_endpoint *ep = &bpf->endpoints[slot];
	uint32_t old = ep->host_ifindex;
	int r = pk_map_set(bpf->map[PK_MAP_SLOTS], &host_ifindex, &slot, BPF_ANY);

	if (r < 0)
		return pk_tables_fail(err, r, PK_MAP_SLOTS, "write a device");
	__atomic_store_n(&ep->host_ifindex, host_ifindex, __ATOMIC_SEQ_CST);
	if (old && old != host_ifindex)
		pk_map_delete(bpf->map[PK_MAP_SLOTS], &old);
	return 0;
}

int pk_endpoint_write(struct pk_bpf *bpf, uint32_t slot, const struct pk_endpoint *endpoint,
		      struct pk_err *err)
{
	struct pk_endpoint *ep = &bpf->endpoints[slot];
	struct pk_endpoint entry = *endpoint;

	if (!pk_slot_taken(bpf, slot))
		return pk_fail(err, 0, "slot %u is not taken", slot);
	if (pk_word(bpf, slot))
		return pk_fail(err, EBUSY, "slot %u is open", slot);
	entry.owner = ep->owner;
	entry.opened = 0;
	entry.flags &= ~PK_EP_PORTS;
	entry.host_ifindex = ep->host_ifindex;
	memcpy(ep, &entry, sizeof(entry));
	pk_fault("endpoint-written");
	return pk_endpoint_device(bpf, slot, endpoint->host_ifindex, err);
}

int pk_answers_write(struct pk_bpf *bpf, uint32_t slot, const struct pk_answers *answers,
		     struct pk_err *err)
{
	int r = pk_map_set(bpf->map[PK_MAP_ANSWERS], &slot, answers, BPF_F_LOCK);

	return r < 0 ? pk_tables_fail(err, r, PK_MAP_ANSWERS, "write what is told") : 0;
}

/* Addresses. */

static const union pk_addr *address_of(const struct pk_bpf *bpf, uint32_t slot, int i)
{
	const struct pk_endpoint *ep = &bpf->endpoints[slot];
	const union pk_addr *addr = i ? &ep->ipv6 : &ep->ipv4;

	return pk_addr_is_zero(addr) ? NULL : addr;
}

/* An address that another, open endpoint has is never taken from it. */
static int write_address(struct pk_bpf *bpf, const union pk_addr *addr,
			 const struct pk_local *local, struct pk_err *err)
{
	int map = bpf->map[PK_MAP_BY_ADDRESS], r;
	char text[PK_ADDR_TEXT];
	struct pk_local is;

	if (pk_map_get(map, addr, &is) == 0 && is.slot != local->slot && pk_word(bpf, is.slot))
		return pk_code(err,
			       pk_fail(err, EADDRINUSE, "address %s: slot %u has it",
				       pk_addr_format(addr, text), is.slot),
			       PK_CODE_NO_ADDRESS);
	r = pk_map_set(map, addr, local, BPF_ANY);
	return r < 0 ? pk_tables_fail(err, r, PK_MAP_BY_ADDRESS, "write an address") : 0;
}

static int write_addresses(struct pk_bpf *bpf, const struct pk_local *local, struct pk_err *err)
{
	for (int i = 0; i < 2; i++) {
		const union pk_addr *addr = address_of(bpf, local->slot, i);
		int r = addr ? write_address(bpf, addr, local, err) : 0;

		if (r < 0)
			return r;
	}
	return 0;
}

static void delete_addresses(struct pk_bpf *bpf, uint32_t slot)
{
	int map = bpf->map[PK_MAP_BY_ADDRESS];

	for (int i = 0; i < 2; i++) {
		const union pk_addr *addr = address_of(bpf, slot, i);
		struct pk_local is;

		if (addr && pk_map_get(map, addr, &is) == 0 && is.slot == slot)
			pk_map_delete(map, addr);
	}
}

/* Opening, switching, closing, freeing. */

static int check_rule_set(const struct pk_bpf *bpf, const struct pk_endpoint_open *open,
			  struct pk_rule_set *entry, uint32_t *rule_set, struct pk_err *err)
{
	struct pk_labels labels = open->labels;
	int r = 0;

	if (open->hash[0] || open->hash[1])
		r = pk_labels_get(bpf, open->hash, &labels);
	/*
	 * The label set was forgotten since its numbers were taken, and these may be another's now.
	 */
	if (r == -ENOENT || labels.identity != open->labels.identity)
		return pk_fail(err, ESTALE, "the label set of slot %u has other numbers by now",
			       open->slot);
	*rule_set = open->rule_set;
	if (r == 0 && !*rule_set)
		r = pk_rule_set_of(bpf, &labels, rule_set);
	if (r < 0)
		return pk_fail(err, ENOENT, "no rule set for slot %u", open->slot);
	r = pk_rule_set_get(bpf, *rule_set, entry);
	return r < 0 ? pk_fail(err, ENOENT, "rule set %u is not there", *rule_set) : 0;
}

/* The node lock is held: nobody frees the rule set between the look and the word. */
static int open_locked(struct pk_bpf *bpf, const struct pk_endpoint_open *open, struct pk_err *err)
{
	struct pk_endpoint *ep = &bpf->endpoints[open->slot];
	struct pk_local local = { .slot = open->slot,
				  .identity = open->labels.identity,
				  .tenant = open->labels.tenant };
	struct pk_rule_set entry = { 0 };
	uint32_t rule_set = 0, flags = open->flags & ~PK_WORD_AUDIT;
	uint64_t closed = 0, word;
	int r = check_rule_set(bpf, open, &entry, &rule_set, err);

	if (r < 0)
		return r;
	__atomic_store_n(&ep->identity, local.identity, __ATOMIC_SEQ_CST);
	__atomic_store_n(&ep->tenant, local.tenant, __ATOMIC_SEQ_CST);
	r = write_addresses(bpf, &local, err);
	pk_fault("addresses-written");
	r = r == 0 ? pk_ports_write(bpf, open, err) : r;
	if (r < 0) {
		delete_addresses(bpf, open->slot);
		pk_ports_delete(bpf, open->slot);
		return r;
	}
	flags |= entry.flags & PK_RULE_SET_AUDIT ? PK_WORD_AUDIT : 0;
	ep->opened = pk_number_take(bpf, PK_NUMBER_REVISION);
	word = PK_WORD(rule_set, flags, ep->opened);
	pk_fault("word-opens");
	if (!__atomic_compare_exchange_n(&bpf->words[open->slot], &closed, word, false,
					 __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
		return pk_fail(err, EEXIST, "slot %u is open already", open->slot);
	pk_fault("word-open");
	return 0;
}

int pk_endpoint_open(struct pk_bpf *bpf, const struct pk_endpoint_open *open, uint64_t deadline_ns,
		     struct pk_err *err)
{
	own_fd int lock = -1;
	int r;

	if (!pk_slot_taken(bpf, open->slot))
		return pk_fail(err, 0, "slot %u is not taken", open->slot);
	r = pk_node_lock(bpf->paths, deadline_ns, &lock, err);
	if (r < 0)
		return r;
	if (pk_word(bpf, open->slot))
		return pk_fail(err, EEXIST, "slot %u is open already", open->slot);
	return open_locked(bpf, open, err);
}

int pk_endpoint_close(struct pk_bpf *bpf, uint32_t slot, uint64_t deadline_ns, struct pk_err *err)
{
	own_fd int lock = -1;
	int r;

	if (!in_range(bpf, slot))
		return 0;
	__atomic_store_n(&bpf->words[slot], 0, __ATOMIC_SEQ_CST);
	pk_fault("word-closed");
	if (!pk_slot_taken(bpf, slot))
		return 0;
	r = pk_node_lock(bpf->paths, deadline_ns, &lock, err);
	if (r < 0)
		return r;
	/* An ADD of the same slot can't have come between: its slot is taken until it is freed. */
	delete_addresses(bpf, slot);
	pk_ports_delete(bpf, slot);
	return 0;
}

static void clear_counts(struct pk_bpf *bpf, uint32_t slot)
{
	size_t n = 2 * PK_REASON_SLOTS, done;
	own_mem struct pk_counter *zero = pk_alloc(n * (size_t)pk_cpus() * sizeof(*zero));
	static const struct pk_bucket bucket;
	uint32_t keys[2 * PK_REASON_SLOTS];

	for (size_t i = 0; i < n; i++)
		keys[i] = PK_COUNTER(slot, 0, 0) + (uint32_t)i;
	for (size_t at = 0; at < n; at += done ? done : n)
		pk_map_set_many(bpf->map[PK_MAP_COUNTERS], keys + at, zero + at * (size_t)pk_cpus(),
				n - at, &done);
	pk_map_set(bpf->map[PK_MAP_BUCKETS], &slot, &bucket, BPF_ANY);
}

int pk_slot_free(struct pk_bpf *bpf, uint32_t slot, uint64_t deadline_ns, struct pk_err *err)
{
	static const struct pk_answers untold;
	static const struct pk_endpoint nothing;
	struct pk_endpoint *ep = &bpf->endpoints[slot];
	own_fd int lock = -1;
	uint32_t named;
	int r;

	if (!pk_slot_taken(bpf, slot))
		return 0;
	if (pk_word(bpf, slot))
		return pk_fail(err, EBUSY, "slot %u is open", slot);
	r = pk_flows_end_slot(bpf, slot, err); /* without the lock: there may be thousands */
	if (r == 0)
		r = pk_node_lock(bpf->paths, deadline_ns, &lock, err);
	if (r < 0)
		return r;
	if (pk_map_get(bpf->map[PK_MAP_SLOTS], &ep->host_ifindex, &named) == 0 && named == slot)
		pk_map_delete(bpf->map[PK_MAP_SLOTS], &ep->host_ifindex);
	delete_addresses(bpf, slot);
	pk_ports_delete(bpf, slot);
	clear_counts(bpf, slot);
	pk_answers_write(bpf, slot, &untold, NULL);
	memcpy(ep, &nothing, offsetof(struct pk_endpoint, owner));
	pk_fault("slot-cleared");
	__atomic_store_n(&ep->owner, 0, __ATOMIC_SEQ_CST);
	return 0;
}

int pk_endpoint_switch(struct pk_bpf *bpf, const struct pk_endpoint_switch *to,
		       uint64_t deadline_ns, uint64_t *now, struct pk_err *err)
{
	struct pk_local local = { .slot = to->slot,
				  .identity = to->identity,
				  .tenant = to->tenant };
	own_fd int lock = -1;
	int r = pk_node_lock(bpf->paths, deadline_ns, &lock, err);
	struct pk_endpoint *ep;

	if (r < 0)
		return r;
	if (!in_range(bpf, to->slot) || !to->from)
		return pk_fail(err, EPERM, "slot %u is closed", to->slot);
	/*
	 * Nobody opens the slot anew under the lock: the word that was read is still this
	 * endpoint's.
	 */
	if (pk_word(bpf, to->slot) != to->from)
		return pk_fail(err, EAGAIN, "the word of slot %u has changed", to->slot);
	ep = &bpf->endpoints[to->slot];
	if (ep->identity != to->identity || ep->tenant != to->tenant) {
		__atomic_store_n(&ep->identity, to->identity, __ATOMIC_SEQ_CST);
		__atomic_store_n(&ep->tenant, to->tenant, __ATOMIC_SEQ_CST);
		r = write_addresses(bpf, &local, err);
	}
	return r == 0 ? pk_word_switch(bpf, to->slot, to->from, to->rule_set, to->flags, now, err)
		      : r;
}
