/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Published ports and open ports. `published` is asked with the address all zero first. An entry
 * there is a mapping on every address, or, with slot 0, the marker that there are mappings on
 * single ones: it is written before the first of them and deleted after the last. So is the bit of
 * its port in `published_ports`. The node's lock is held by all who write here.
 */
#include "tables_private.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/bpf.h>
#include <string.h>

#include "fault.h"
#include "own.h"

#define PORTS 65536

/* Published. */

static struct pk_published_key any_of(const struct pk_published_key *key)
{
	return (struct pk_published_key){ .proto = key->proto, .port = key->port };
}

/* A search for others that publish the same port on a single address. */
struct search {
	struct pk_published_key any;
	uint32_t slot; /* of the one who asks */
	uint32_t found;
};

static int look_at(void *arg, const void *key, const void *value)
{
	const struct pk_published_key any = any_of(key);
	const struct pk_published *to = value;
	struct search *search = arg;

	if (!to->slot || to->slot == search->slot || memcmp(&any, &search->any, sizeof(any)) != 0)
		return 0;
	search->found = to->slot;
	return 1;
}

static uint32_t holder_of_single(const struct pk_bpf *bpf, const struct pk_published_key *key,
				 uint32_t slot)
{
	struct search search = { .any = any_of(key), .slot = slot };

	pk_map_each(bpf->map[PK_MAP_PUBLISHED], look_at, &search);
	return search.found;
}

uint32_t pk_published_holder(const struct pk_bpf *bpf, const struct pk_published_key *key,
			     uint32_t slot)
{
	const struct pk_published_key any = any_of(key);
	int map = bpf->map[PK_MAP_PUBLISHED];
	struct pk_published is;

	if (pk_map_get(map, &any, &is) < 0)
		return 0;
	if (is.slot)
		return is.slot == slot ? 0 : is.slot;
	if (pk_addr_is_zero(&key->addr))
		return holder_of_single(bpf, key, slot);
	return pk_map_get(map, key, &is) == 0 && is.slot != slot ? is.slot : 0;
}

static int fail_taken(const struct pk_published_key *key, uint32_t holder, struct pk_err *err)
{
	return pk_code(
		err,
		pk_fail(err, EADDRINUSE, "host port %u: slot %u has it", ntohs(key->port), holder),
		PK_CODE_CONFIG);
}

/* A slot's own mapping on every address stands for its single ones too. */
static int mark(struct pk_bpf *bpf, uint32_t slot, const struct pk_published_key *key)
{
	static const struct pk_published marker;
	const struct pk_published_key any = any_of(key);
	int map = bpf->map[PK_MAP_PUBLISHED];
	struct pk_published is;
	int r = pk_map_set(map, &any, &marker, BPF_NOEXIST);

	if (r != -EEXIST)
		return r;
	return pk_map_get(map, &any, &is) == 0 && is.slot == slot ? 1 : 0;
}

static int set_bit(const struct pk_bpf *bpf, uint16_t port)
{
	const uint32_t at = PK_PORT_WORD(port);
	int map = bpf->map[PK_MAP_PUBLISHED_PORTS];
	uint64_t bits;
	int r = pk_map_get(map, &at, &bits);

	if (r < 0 || bits & PK_PORT_BIT(port))
		return r;
	bits |= PK_PORT_BIT(port);
	return pk_map_set(map, &at, &bits, BPF_ANY);
}

static int publish(struct pk_bpf *bpf, uint32_t slot, const struct pk_publish *p,
		   struct pk_err *err)
{
	uint32_t holder = pk_published_holder(bpf, &p->from, slot);
	struct pk_published to = p->to;
	int r;

	if (holder)
		return fail_taken(&p->from, holder, err);
	pk_fault("port-free");
	to.slot = slot;
	r = set_bit(bpf, ntohs(p->from.port));
	pk_fault("port-bit");
	if (r == 0 && !pk_addr_is_zero(&p->from.addr))
		r = mark(bpf, slot, &p->from);
	if (r == 0)
		r = pk_map_set(bpf->map[PK_MAP_PUBLISHED], &p->from, &to, BPF_ANY);
	return r < 0 ? pk_tables_fail(err, r, PK_MAP_PUBLISHED, "publish a port") : 0;
}

struct unpublish {
	int map;
	uint32_t slot;
	uint8_t *still;		      /* a bit for each protocol's port that has single mappings */
	uint64_t left[PK_PORT_WORDS]; /* a bit for each port that has any entry */
};

static int drop_published(void *arg, const void *key, const void *value)
{
	struct unpublish *u = arg;

	if (((const struct pk_published *)value)->slot != u->slot)
		return 0;
	return pk_map_delete(u->map, key);
}

static size_t bit_of(const struct pk_published_key *key)
{
	return (size_t)key->proto * PORTS + ntohs(key->port);
}

static int note_single(void *arg, const void *key, const void *value)
{
	struct unpublish *u = arg;
	size_t bit = bit_of(key);

	(void)value;
	if (!pk_addr_is_zero(&((const struct pk_published_key *)key)->addr))
		u->still[bit / 8] |= (uint8_t)(1 << bit % 8);
	return 0;
}

static int drop_marker(void *arg, const void *key, const void *value)
{
	const uint16_t port = ntohs(((const struct pk_published_key *)key)->port);
	struct unpublish *u = arg;
	size_t bit = bit_of(key);

	if (!((const struct pk_published *)value)->slot &&
	    pk_addr_is_zero(&((const struct pk_published_key *)key)->addr) &&
	    !(u->still[bit / 8] >> bit % 8 & 1))
		return pk_map_delete(u->map, key);
	u->left[PK_PORT_WORD(port)] |= PK_PORT_BIT(port);
	return 0;
}

static void clear_bits(const struct pk_bpf *bpf, const uint64_t left[PK_PORT_WORDS])
{
	int map = bpf->map[PK_MAP_PUBLISHED_PORTS];
	uint64_t is[PK_PORT_WORDS];

	if (pk_map_get_range(map, 0, PK_PORT_WORDS, is) < 0)
		return;
	for (uint32_t at = 0; at < PK_PORT_WORDS; at++)
		if (is[at] & ~left[at])
			pk_map_set(map, &at, &left[at], BPF_ANY);
}

/* Deletes the slot's mappings, and what a killed process left: markers, bits of ports. */
static void unpublish(struct pk_bpf *bpf, uint32_t slot)
{
	own_mem uint8_t *still = NULL;
	struct unpublish u = { .map = bpf->map[PK_MAP_PUBLISHED], .slot = slot };

	pk_map_each(u.map, drop_published, &u);
	still = pk_alloc(256 * PORTS / 8);
	u.still = still;
	pk_map_each(u.map, note_single, &u);
	if (pk_map_each(u.map, drop_marker, &u) == 0)
		clear_bits(bpf, u.left);
}

/* Open. */

struct ports {
	int map;
	uint32_t slot;
};

static int drop_open(void *arg, const void *key, const void *value)
{
	const struct ports *ports = arg;

	(void)value;
	return ((const struct pk_open_port_key *)key)->slot == ports->slot
		       ? pk_map_delete(ports->map, key)
		       : 0;
}

static int open_port(struct pk_bpf *bpf, uint32_t slot, const struct pk_open_port *p,
		     struct pk_err *err)
{
	struct pk_open_port_key key = { .slot = slot, .proto = p->proto, .port = htons(p->port) };
	int r = pk_map_set(bpf->map[PK_MAP_OPEN_PORTS], &key, &p->flags, BPF_ANY);

	return r < 0 ? pk_tables_fail(err, r, PK_MAP_OPEN_PORTS, "open a port") : 0;
}

/* Published and open ports. */

void pk_ports_delete(struct pk_bpf *bpf, uint32_t slot)
{
	struct ports open = { .map = bpf->map[PK_MAP_OPEN_PORTS], .slot = slot };

	if (!(bpf->endpoints[slot].flags & PK_EP_PORTS))
		return;
	unpublish(bpf, slot);
	pk_map_each(open.map, drop_open, &open);
	__atomic_and_fetch(&bpf->endpoints[slot].flags, ~PK_EP_PORTS, __ATOMIC_SEQ_CST);
}

int pk_ports_write(struct pk_bpf *bpf, const struct pk_endpoint_open *open, struct pk_err *err)
{
	int r = 0;

	if (open->n_published || open->n_open)
		__atomic_or_fetch(&bpf->endpoints[open->slot].flags, PK_EP_PORTS, __ATOMIC_SEQ_CST);
	for (size_t i = 0; i < open->n_published && r == 0; i++) {
		r = publish(bpf, open->slot, &open->published[i], err);
		pk_fault("port-published");
	}
	for (size_t i = 0; i < open->n_open && r == 0; i++)
		r = open_port(bpf, open->slot, &open->open[i], err);
	return r;
}

/* picketd replaces the whole set of open ports of a live endpoint. */

struct port_diff {
	int map;
	uint32_t slot;
	const struct pk_open_port *ports;
	size_t n;
	bool *there;
	bool changed;
};

static int compare_port(void *arg, const void *key, const void *value)
{
	const struct pk_open_port_key *k = key;
	struct port_diff *diff = arg;

	if (k->slot != diff->slot)
		return 0;
	for (size_t i = 0; i < diff->n; i++) {
		const struct pk_open_port *p = &diff->ports[i];

		if (p->proto != k->proto || htons(p->port) != k->port)
			continue;
		diff->there[i] = p->flags == *(const uint32_t *)value;
		return 0;
	}
	diff->changed = true;
	return pk_map_delete(diff->map, key);
}

int pk_endpoint_open_ports(struct pk_bpf *bpf, uint32_t slot, const struct pk_open_port *ports,
			   size_t n, uint64_t deadline_ns, struct pk_err *err)
{
	own_mem bool *there = pk_alloc((n + 1) * sizeof(*there));
	struct port_diff diff = { .map = bpf->map[PK_MAP_OPEN_PORTS],
				  .slot = slot,
				  .ports = ports,
				  .n = n,
				  .there = there };
	own_fd int lock = -1;
	int r = pk_node_lock(bpf->paths, deadline_ns, &lock, err);

	if (r < 0)
		return r;
	if (!pk_word(bpf, slot))
		return pk_fail(err, EPERM, "slot %u is closed", slot);
	if (n || bpf->endpoints[slot].flags & PK_EP_PORTS)
		r = pk_map_each(diff.map, compare_port, &diff);
	if (n)
		__atomic_or_fetch(&bpf->endpoints[slot].flags, PK_EP_PORTS, __ATOMIC_SEQ_CST);
	for (size_t i = 0; i < n && r == 0; i++) {
		if (there[i])
			continue;
		diff.changed = true;
		r = open_port(bpf, slot, &ports[i], err);
	}
	if (r == 0 && diff.changed)
		r = pk_word_renew(bpf, slot, err);
	return r;
}
