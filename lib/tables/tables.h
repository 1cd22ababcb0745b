/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The only writer of the tables, in state.md's order. Functions that need the node lock take it
 * themselves, for microseconds (deadline_ns of CLOCK_MONOTONIC bounds the wait: PK_CODE_DEADLINE);
 * no caller holds it. A full table is -ENOSPC with PK_CODE_CAPACITY, and what was there stays.
 *
 * ADD:	pk_slot_take, pk_labels_take, [pk_rule_set_install + pk_base_name], pk_endpoint_write,
 *	(devices, guard, up, self-test), pk_endpoint_open
 * DEL:	pk_endpoint_close, (record closed, device gone), pk_slot_free
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bpfobj.h"
#include "eplimits.h"
#include "picket/reason.h"
#include "err.h"
#include "ruleset.h"

/* Slots. */

/*
 * Takes the lowest free slot in the name of owner ("<container id>@<ifname>"); one that this owner
 * took before and never made a device for is given again. -ENOSPC, PK_CODE_CAPACITY: none is free.
 */
int pk_slot_take(struct pk_bpf *bpf, const char *owner, uint64_t deadline_ns, uint32_t *slot,
		 struct pk_err *err);
/*
 * Walks the slots that owner has taken, for DEL without a record: returns the next one above
 * `after`; 0 ends it.
 */
uint32_t pk_slot_of(const struct pk_bpf *bpf, const char *owner, uint32_t after);
bool pk_slot_taken(const struct pk_bpf *bpf, uint32_t slot);
/* Returns the seconds since a slot was taken (boot time), for the sweep of slots without record. */
uint32_t pk_slot_age(const struct pk_bpf *bpf, uint32_t slot);
/*
 * Frees the slot, whose device is seen gone (or was never made): clears all that names it, counters
 * and buckets too. -EBUSY: its word is open. Free already is success.
 */
int pk_slot_free(struct pk_bpf *bpf, uint32_t slot, uint64_t deadline_ns, struct pk_err *err);

/* Label sets and tenants. */

struct pk_labels_want {
	uint64_t hash[2];   /* of the identity's canonical text */
	uint64_t tenant[2]; /* pk_tenant_hash of its namespace */
	bool no_tenant;	    /* quarantine: tenant 0 */
};
/* Takes the set's numbers, made if need be: one set has one number, whoever asks first. */
int pk_labels_take(struct pk_bpf *bpf, const struct pk_labels_want *want, uint64_t deadline_ns,
		   struct pk_labels *out, struct pk_err *err);
int pk_labels_get(const struct pk_bpf *bpf, const uint64_t hash[2],
		  struct pk_labels *out); /* -ENOENT */
int pk_tenant_take(struct pk_bpf *bpf, const uint64_t tenant[2], uint64_t deadline_ns,
		   uint32_t *out, struct pk_err *err);
int pk_tenant_get(const struct pk_bpf *bpf, const uint64_t tenant[2], uint32_t *out); /* -ENOENT */
/*
 * Names the rule set of a label set (0 = use the tenant's base). -ENOENT: the set has no numbers.
 */
int pk_labels_name(struct pk_bpf *bpf, const uint64_t hash[2], uint32_t rule_set,
		   uint64_t deadline_ns, struct pk_err *err);
/*
 * Forgets a label set that no endpoint has; peer_class entries of it are the caller's to remove
 * before.
 */
int pk_labels_forget(struct pk_bpf *bpf, const uint64_t hash[2], uint64_t deadline_ns,
		     struct pk_err *err);
/* Names a tenant's base (0 = any other tenant); rule_set 0 removes it. */
int pk_base_name(struct pk_bpf *bpf, uint32_t tenant, uint32_t rule_set, uint64_t deadline_ns,
		 struct pk_err *err);
/*
 * Finds the rule set that ADD uses: the label set's own, else its tenant's base. -ENOENT: there is
 * neither, compile one. The base of tenant 0 is quarantine's own, never a fallback for a tenant.
 */
int pk_rule_set_of(const struct pk_bpf *bpf, const struct pk_labels *labels, uint32_t *rule_set);

/* Rule sets. */

/*
 * Gives an index for image: that of an equal one (by digest), else of one built aside under a free
 * index: size checked first, verdicts, lists, peer classes, its rule_sets entry last. Nothing is
 * switched and nothing live changes; on failure nothing stays. Peers whose identity has no number
 * yet are left out (pk_rule_set_peers adds them); tenants get one.
 */
int pk_rule_set_install(struct pk_bpf *bpf, struct pk_image *image, uint64_t deadline_ns,
			uint32_t *rule_set, struct pk_err *err);
/*
 * Installs it and, in the same step, names it as a tenant's base (an ADD's, which compiled it):
 * between the two nobody can free it.
 */
int pk_rule_set_install_base(struct pk_bpf *bpf, struct pk_image *image, uint32_t tenant,
			     uint64_t deadline_ns, uint32_t *rule_set, struct pk_err *err);
/* Returns the index of an equal rule set, 0 = none. */
uint32_t pk_rule_set_find(const struct pk_bpf *bpf, const uint64_t digest[2]);
/* Says of each index whether there is a rule set. NULL: unknown. The caller frees it. */
bool *pk_rule_sets_there(const struct pk_bpf *bpf);
int pk_rule_set_get(const struct pk_bpf *bpf, uint32_t rule_set,
		    struct pk_rule_set *out); /* -ENOENT: free */
/*
 * Changes a rule set in place from one image to the next (pk_image_diff said that it can): new
 * classes' verdicts, then peer classes, then the digest, then what is gone. -EINVAL where the delta
 * says replace.
 */
int pk_rule_set_amend(struct pk_bpf *bpf, uint32_t rule_set, const struct pk_image *from,
		      const struct pk_image *to, struct pk_err *err);
/*
 * Writes the peer classes of image whose identity has a number by now. It is called before that
 * identity's first address is written.
 */
int pk_rule_set_peers(struct pk_bpf *bpf, uint32_t rule_set, const struct pk_image *image,
		      struct pk_err *err);
/*
 * Gives identity `to` the classes of identity `from` in this rule set, where it has none: an
 * endpoint is about to change its identity, and the rule set itself changes later. Returns 1 where
 * something was written, 0 where there was nothing to carry, -errno.
 */
int pk_rule_set_carry(struct pk_bpf *bpf, uint32_t rule_set, uint32_t from, uint32_t to,
		      struct pk_err *err);
/* Takes back what was carried; image is what the rule set says by now (NULL: nothing of it). */
void pk_rule_set_uncarry(struct pk_bpf *bpf, uint32_t rule_set, uint32_t identity,
			 const struct pk_image *image);
/* A rule set and what is to be in it. */
struct pk_placed {
	uint32_t rule_set;
	const struct pk_image *image;
};
/*
 * Deletes peer classes of these rule sets that their images don't have: a controller that was
 * killed left them. Returns how many.
 */
size_t pk_rule_sets_strip(struct pk_bpf *bpf, const struct pk_placed *placed, size_t n);
/* Returns whether a word, a base or a label set names it. */
bool pk_rule_set_used(const struct pk_bpf *bpf, uint32_t rule_set);
/*
 * Frees it: waits for RCU, deletes what is its own. -EBUSY: still named. image: what is in it
 * (NULL: found by walking the tables, slower). Call only for one that was seen unused by an earlier
 * pass.
 */
int pk_rule_set_free(struct pk_bpf *bpf, uint32_t rule_set, const struct pk_image *image,
		     uint64_t deadline_ns, struct pk_err *err);

/* Words. */

uint64_t pk_word(const struct pk_bpf *bpf, uint32_t slot);
/*
 * Exchanges the word that was read for {rule set, flags, a new revision}; -EAGAIN: it has changed
 * since; -EPERM: it is closed (only pk_endpoint_open opens).
 */
int pk_word_switch(struct pk_bpf *bpf, uint32_t slot, uint64_t from, uint32_t rule_set,
		   uint32_t flags, uint64_t *now, struct pk_err *err);
/* Gives the word a new revision and leaves everything else as it is; -EPERM: it is closed. */
int pk_word_renew(struct pk_bpf *bpf, uint32_t slot, struct pk_err *err);

/* Endpoints. */

/*
 * Writes a closed slot's entry and its device. The word must be 0. `opened`, `owner` are the
 * tables'.
 */
int pk_endpoint_write(struct pk_bpf *bpf, uint32_t slot, const struct pk_endpoint *endpoint,
		      struct pk_err *err);

/* Puts the limits into an entry that is to be written. */
void pk_endpoint_limits_put(const struct pk_bpf *bpf, const struct pk_limits_held *held,
			    struct pk_endpoint *endpoint);
/*
 * Changes the limits of an open endpoint, for the controller: each limit by one store, so that no
 * packet meets none. 1: something was another; 0: nothing was, or the slot is closed.
 */
int pk_endpoint_limit(struct pk_bpf *bpf, uint32_t slot, const struct pk_limits_held *held,
		      uint64_t deadline_ns, struct pk_err *err);

/* Writes what the gateway tells the slot's endpoint, whole and at once, also while it lives. */
int pk_answers_write(struct pk_bpf *bpf, uint32_t slot, const struct pk_answers *answers,
		     struct pk_err *err);

struct pk_publish {
	struct pk_published_key from;
	struct pk_published to;
};
struct pk_open_port {
	uint8_t proto;	/* TCP, UDP, SCTP */
	uint16_t port;	/* the endpoint's own */
	uint32_t flags; /* PK_OPEN_* */
};
struct pk_endpoint_open {
	uint32_t slot;
	struct pk_labels labels; /* as pk_labels_take gave them */
	/*
	 * The label set's hash, by which the rule set that it names is read anew under the lock:
	 * since the labels were taken that one may have been freed, and its index be another
	 * tenant's. 0, 0: labels is believed as it is.
	 */
	uint64_t hash[2];
	uint32_t rule_set; /* 0: the label set's, else the tenant's base */
	/*
	 * PK_WORD_MASQUERADE, PK_WORD_MASQUERADE6, PK_WORD_LOG_NEW; PK_WORD_AUDIT follows the rule
	 * set
	 */
	uint32_t flags;
	/* Mappings; -EADDRINUSE where another slot has, or overlaps, one (pk_published_holder). */
	const struct pk_publish *published;
	size_t n_published;
	const struct pk_open_port *open;
	size_t n_open;
};
/*
 * Writes addresses and ports, then the word. -ENOENT: no rule set (see pk_rule_set_of); -ESTALE:
 * the label set was forgotten since its numbers were taken; -EEXIST: the word is open already.
 */
int pk_endpoint_open(struct pk_bpf *bpf, const struct pk_endpoint_open *open, uint64_t deadline_ns,
		     struct pk_err *err);
/*
 * Sets the word to 0, then deletes its addresses and ports, those that are still its own. A closed
 * or free slot is success.
 */
int pk_endpoint_close(struct pk_bpf *bpf, uint32_t slot, uint64_t deadline_ns, struct pk_err *err);
/* Gives the slot a host device of another ifindex (CHECK), in `slots` and in its entry. */
int pk_endpoint_device(struct pk_bpf *bpf, uint32_t slot, uint32_t host_ifindex,
		       struct pk_err *err);

struct pk_endpoint_switch {
	uint32_t slot;
	uint64_t from; /* the word that was read */
	uint32_t identity, tenant;
	uint32_t rule_set, flags;
};
/*
 * Switches an open endpoint, for the controller: identity and tenant, by_address, then the word
 * with a new revision. -EAGAIN as pk_word_switch.
 */
int pk_endpoint_switch(struct pk_bpf *bpf, const struct pk_endpoint_switch *to,
		       uint64_t deadline_ns, uint64_t *now, struct pk_err *err);
/*
 * Returns the slot that has the mapping of key, or one that overlaps it (every address against a
 * single one), other than `slot` itself; 0 = none has.
 */
uint32_t pk_published_holder(const struct pk_bpf *bpf, const struct pk_published_key *key,
			     uint32_t slot);
/* Writes the slot's whole set of open ports; a change is followed by a new revision. */
int pk_endpoint_open_ports(struct pk_bpf *bpf, uint32_t slot, const struct pk_open_port *ports,
			   size_t n, uint64_t deadline_ns, struct pk_err *err);

/* The node's. */

/* Makes pools exactly these; pk_pool_add adds one of the node's own, which node.block follows. */
struct pk_pools_want {
	const struct pk_prefix *own; /* this node's */
	const struct pk_far_block *others;
	size_t n_own, n_others;
};
int pk_pools_set(struct pk_bpf *bpf, const struct pk_pools_want *want, uint64_t deadline_ns,
		 struct pk_err *err);
int pk_pool_add(struct pk_bpf *bpf, const struct pk_prefix *pool, uint64_t deadline_ns,
		struct pk_err *err);
/*
 * A first load uses these before there is a table: the key of a pool, and its block among the
 * node's.
 */
struct pk_pool_key pk_pool_key_of(const struct pk_prefix *pool);
void pk_node_add_block(struct pk_node *node, const struct pk_pool_key *key);
int pk_remote_set(struct pk_bpf *bpf, const union pk_addr *addr, const struct pk_remote *remote,
		  struct pk_err *err);
/*
 * Deletes it only where owner and generation are still these; gone is success, another's -EAGAIN.
 */
int pk_remote_delete(struct pk_bpf *bpf, const union pk_addr *addr, const struct pk_remote *was,
		     struct pk_err *err);
/*
 * Reads the node's entry, has it changed by edit, and writes it, under the node lock. epoch,
 * layout, path and sizes stay what they are. A packet that looks meanwhile may meet a part of the
 * old and a part of the new; what is equal in both it never meets changed.
 */
int pk_node_update(struct pk_bpf *bpf, void (*edit)(void *arg, struct pk_node *node), void *arg,
		   uint64_t deadline_ns, struct pk_err *err);

/* Frees what a handle's calls here remembered, when it is closed. */
void pk_tables_memo_free(struct pk_tables_memo *memo);

/* Reading. */

int pk_counter_read(const struct pk_bpf *bpf, uint32_t slot, enum pk_dir dir, unsigned int reason,
		    struct pk_counter *sum);
/* Reads how many events of an endpoint the data path has lost since ADD; 0 where it can't. */
uint64_t pk_events_lost(const struct pk_bpf *bpf, uint32_t slot);
/* Reads every counter of a slot by one system call: row[dir][reason]. */
int pk_counter_row(const struct pk_bpf *bpf, uint32_t slot,
		   struct pk_counter row[2][PK_REASON_SLOTS], struct pk_err *err);
struct pk_table_use {
	const char *name;
	uint64_t used, size;
};
/*
 * Tells for status how full each table is: verdicts, cidr, peer_class, labels, by_address, flows...
 * Returns how many they are, at most PK_MAP_COUNT.
 */
size_t pk_tables_use(const struct pk_bpf *bpf, struct pk_table_use use[PK_MAP_COUNT]);
/* The state of pk_tables_use in parts; zeroed before the first part. */
struct pk_tables_walk {
	struct pk_table_use use[PK_MAP_COUNT];
	size_t n;
	size_t walked; /* of those that must be walked */
	struct pk_map_counting counting;
};
/*
 * Counts on until about deadline_ns of CLOCK_MONOTONIC; true: every table is in `use`. An entry
 * that comes or goes meanwhile may be counted or not.
 */
bool pk_tables_use_part(const struct pk_bpf *bpf, struct pk_tables_walk *walk,
			uint64_t deadline_ns);
