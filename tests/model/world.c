// SPDX-License-Identifier: Apache-2.0
/* A world: random tables about a fixed cast (tests/bpf/pkt.h names it). */
#include <string.h>

#include "told.h"
#include "tests/model/cast.h"

#define ANY_CLASS 12

static const uint8_t protocols[] = { 6, 6, 17, 17, 1, 58, 132, 47 };
static const uint16_t ports[] = PORTS, outside[] = PUBLISHED;

static struct pk_judgement judgement(struct dice *d)
{
	bool allow = dice_below(d, 3);
	uint8_t kind = allow ? PK_KIND_ALLOW : PK_KIND_DENY;

	return (struct pk_judgement){ .verdict = allow ? PK_ALLOW : PK_DENY,
				      .rank = PK_RANK(dice_below(d, 4), kind),
				      .rule = PK_RULE_FIRST + dice_below(d, 100) };
}

/* A second entry of one key would be one in the kernel's table, too. */
static void verdict(struct world *w, const struct pk_verdict_key *key, struct pk_judgement j)
{
	struct pk_verdict_value value = { j, j };

	for (int i = 0; i < w->verdicts; i++)
		if (!memcmp(&w->verdict[i].key, key, sizeof(*key)))
			return;
	if (w->verdicts < (int)(sizeof(w->verdict) / sizeof(*w->verdict)))
		w->verdict[w->verdicts++] = (struct row_verdict){ *key, value };
}

static uint16_t some_port(struct dice *d, uint8_t proto)
{
	static const uint16_t types[] = { 0x800, 0x8000, 0xd00, 0x303, 0x8500, 0x1100 };

	if (is_icmp(proto))
		return types[dice_below(d, sizeof(types) / sizeof(*types))];
	return ports[dice_below(d, sizeof(ports) / sizeof(*ports))];
}

/* Bits behind the prefix are zero, as the tables' writers leave them. */
static void entry(struct world *w, struct dice *d, uint32_t set, uint32_t class)
{
	static const uint8_t lengths[] = { 72, 72, 80, 80, 80, 96, 96, 96, 88, 92, 94, 83 };
	struct pk_verdict_key key = { .rule_set = set, .class = class };
	uint8_t proto = protocols[dice_below(d, sizeof(protocols))];
	uint16_t port = some_port(d, proto);

	key.prefixlen = lengths[dice_below(d, sizeof(lengths))];
	key.dir = (uint8_t)dice_below(d, 2);
	if (key.prefixlen >= PK_VERDICT_BITS_PROTO)
		key.proto = proto;
	if (key.prefixlen > PK_VERDICT_BITS_PROTO)
		put16((uint8_t *)&key.port,
		      (uint16_t)(port & ~(0xffffu >> (key.prefixlen - PK_VERDICT_BITS_PROTO))));
	verdict(w, &key, judgement(d));
}

static void allow(struct world *w, uint32_t set, uint32_t class, uint8_t dir)
{
	struct pk_verdict_key key = { PK_VERDICT_BITS_DIR, set, class, dir, 0, 0 };

	verdict(w, &key,
		(struct pk_judgement){ .verdict = PK_ALLOW,
				       .rank = PK_RANK(PK_TIER_BUILTIN, PK_KIND_ALLOW),
				       .rule = PK_RULE_WORLD });
}

static void cidr(struct world *w, uint32_t list, union pk_addr a, uint32_t bits, uint32_t class)
{
	struct row_cidr row = { .key = { .prefixlen = 32 + bits, .list = list }, .value = class };

	for (uint32_t i = bits; i < 128; i++)
		a.b[i / 8] &= (uint8_t)~(0x80 >> i % 8);
	row.key.addr = a;
	for (int i = 0; i < w->cidrs; i++)
		if (!memcmp(&w->cidr[i].key, &row.key, sizeof(row.key)))
			return;
	if (w->cidrs < (int)(sizeof(w->cidr) / sizeof(*w->cidr)))
		w->cidr[w->cidrs++] = row;
}

static void peer(struct world *w, struct dice *d, uint32_t set)
{
	struct row_peer row = { .key = { .rule_set = set, .dir = dice_below(d, 2) },
				.value = PK_CLASS_FIRST + dice_below(d, 4) };

	row.key.peer = dice_one_in(d, 2) ? 101 + dice_below(d, 4)
					 : (1 + dice_below(d, 2)) | PK_PEER_TENANT;
	for (int i = 0; i < w->peers; i++)
		if (!memcmp(&w->peer[i].key, &row.key, sizeof(row.key)))
			return;
	if (w->peers < (int)(sizeof(w->peer) / sizeof(*w->peer)))
		w->peer[w->peers++] = row;
}

/* The built-in baseline of most, and entries that add to it or take from it. */
static void rule_set(struct world *w, struct dice *d, uint32_t set)
{
	w->set[set] = (struct pk_rule_set){
		.list = { dice_below(d, 3) ? 2 * set : 0, dice_below(d, 3) ? 2 * set + 1 : 0,
			  dice_one_in(d, 3) ? 90 : 0, dice_one_in(d, 3) ? 91 : 0,
			  dice_one_in(d, 3) ? 92 : 0, dice_one_in(d, 3) ? 93 : 0 },
		.entries = 1,
		.flags = dice_one_in(d, 4) ? PK_RULE_SET_ANY : 0,
		.digest = { set },
	};
	for (uint8_t dir = 0; dir < 2; dir++) {
		if (dice_below(d, 8))
			allow(w, set, PK_CLASS_SAME_TENANT, dir);
		for (uint32_t class = PK_CLASS_HOST; class <= PK_CLASS_ANY; class ++)
			if (dice_below(d, 8) < (class <= PK_CLASS_WORLD6 ? 6u : 2u))
				allow(w, set, class, dir);
	}
	for (uint32_t n = dice_below(d, 14); n; n--)
		entry(w, d, set,
		      dice_one_in(d, 3) ? PK_CLASS_FIRST + dice_below(d, 4)
					: 1 + dice_below(d, PK_CLASS_ANY));
	for (uint32_t n = dice_below(d, 4); n; n--) {
		uint32_t list = w->set[set].list[dice_below(d, PK_LISTS)];
		union pk_addr a =
			cast_address(WORLD_FIRST + dice_below(d, WORLDS), dice_one_in(d, 2));

		if (list)
			cidr(w, list, a, (addr_is_v4(&a) ? 96 + 8 : 8) + dice_below(d, 25),
			     PK_CLASS_FIRST + dice_below(d, 4));
	}
	for (uint32_t n = dice_below(d, 4); n; n--)
		peer(w, d, set);
}

static void endpoint(struct world *w, struct dice *d, uint32_t slot)
{
	static const uint16_t mtus[] = { 1500, 1500, 1500, 1400, 1280, 1000 };
	struct pk_endpoint *ep = &w->ep[slot];
	uint32_t set = 1 + dice_below(d, SETS - 1);

	*ep = (struct pk_endpoint){
		.ipv4 = cast_address(slot, true),
		.ipv6 = cast_address(slot, false),
		.gateway4 = cast_address(GATEWAY, true),
		.ipv4_prefix = 24,
		.host_ifindex = cast_device(slot),
		.identity = dice_one_in(d, 6) ? 0 : 100 + slot,
		.tenant = slot == 3 ? 2 : 1,
		.mtu = mtus[dice_below(d, sizeof(mtus) / sizeof(*mtus))],
		.opened = 1,
		.flow_budget = dice_one_in(d, 5) ? 4 + dice_below(d, 8) : 0,
	};
	cast_mac(slot, ep->mac);
	if (dice_one_in(d, 10))
		ep->tenant = dice_below(d, 4);
	if (slot != 1 && dice_one_in(d, 12))
		ep->ipv4 = (union pk_addr){};
	else if (slot != 1 && dice_one_in(d, 12))
		ep->ipv6 = (union pk_addr){};
	if (dice_below(d, slot == 4 ? 2 : 40))
		w->word[slot] = PK_WORD(set, cast_masquerade(d), 1);
}

/* A mapping on every address, or on one, with its marker. */
static void publish(struct world *w, struct dice *d)
{
	struct row_published row = { .key = { .proto = dice_one_in(d, 2) ? 6 : 17 } };
	uint16_t own = ports[dice_below(d, sizeof(ports) / sizeof(*ports))];

	put16((uint8_t *)&row.key.port, outside[dice_below(d, 4)]);
	for (int i = 0; i < w->publisheds; i++)
		if (w->published[i].key.proto == row.key.proto &&
		    w->published[i].key.port == row.key.port)
			return;
	if (dice_one_in(d, 3)) {
		w->published[w->publisheds++] = row; /* slot 0: on single addresses */
		row.key.addr = cast_address(NODE, dice_one_in(d, 2));
	}
	row.value.slot = 1 + dice_below(d, 3);
	put16((uint8_t *)&row.value.port, own);
	w->published[w->publisheds++] = row;
	if (dice_one_in(d, 6))
		return;
	w->open[w->opens].key = (struct pk_open_port_key){ .slot = row.value.slot,
							   .proto = row.key.proto,
							   .port = row.value.port };
	w->open[w->opens++].value = 1 + dice_below(d, 3);
}

/* Of no device: what comes to its port comes from no node. */
static void overlay(struct pk_overlay *o, struct dice *d)
{
	o->vni = 112;
	o->local = cast_address(NODE, dice_one_in(d, 2));
	put16((uint8_t *)&o->port, dice_one_in(d, 2)
					   ? ports[dice_below(d, sizeof(ports) / sizeof(*ports))]
					   : outside[dice_below(d, 4)]);
}

static void node(struct world *w, struct dice *d)
{
	struct pk_node *n = &w->node;

	*n = (struct pk_node){ .epoch = { 1, dice_next(d) },
			       .layout = PK_LAYOUT,
			       .capacity = SLOTS - 1,
			       .flow_budget = BUDGET_ROOM,
			       .rule_sets = SETS,
			       .events = dice_one_in(d, 4),
			       .masquerade_low = MASQUERADE_PORT,
			       .masquerade_high = MASQUERADE_PORT,
			       .flags = PK_NODE_DEFAULT4 | PK_NODE_DEFAULT6 };
	pk_timeouts_init(n->timeout);
	for (int i = 0; i < PK_TIMEOUT_COUNT && w->passes; i++)
		n->timeout[i] = PK_TIMEOUT_MIN + dice_below(d, 40);
	if (dice_one_in(d, 8))
		n->flags = 0;
	if (dice_one_in(d, 3))
		overlay(&n->overlay, d);
	n->uplink[0] = (struct pk_uplink){ .ifindex = UPLINK,
					   .mtu = 1500,
					   .ipv4 = cast_address(NODE, true),
					   .ipv6 = cast_address(NODE, false) };
	for (int v6 = 0; v6 < 2; v6++) {
		struct pk_block *b = &n->block[v6];

		b->addr = cast_address(1, !v6);
		b->addr.b[15] = 0;
		memset(b->mask.b, 0xff, v6 ? 8 : 15);
		if (v6)
			memset(b->addr.b + 8, 0, 8);
	}
}

static void pool(struct world *w, uint32_t who, bool v4)
{
	struct pk_pool_key *key = &w->pool[w->pools++].key;

	key->prefixlen = v4 ? 120 : 64;
	key->addr = cast_address(who, v4);
	if (v4)
		key->addr.b[15] = 0;
	else
		memset(key->addr.b + 8, 0, 8);
}

/* In half of them time passes, and in one of four endpoints have limits. */
static void times(struct world *w, struct dice *d)
{
	static const uint8_t kinds[8] = { LIMITS_SLOW, LIMITS_FAST };

	w->limits = kinds[dice_below(d, 8)];
	w->passes = dice_one_in(d, 2) ? 4 : 0;
	if (w->limits == LIMITS_SLOW) /* one whose seconds are far from a bucket's steps */
		w->passes = 1;
}

static uint32_t limit(struct world *w, struct dice *d, uint32_t most)
{
	if (!dice_one_in(d, 2))
		return 0;
	return w->limits == LIMITS_SLOW ? 1 : 1 + dice_below(d, most);
}

static void limits(struct world *w, struct dice *d, uint32_t slot)
{
	struct pk_endpoint *ep = &w->ep[slot];
	uint32_t *left = w->tokens[slot];

	if (!w->limits)
		return;
	for (int dir = 0; dir < 2; dir++) {
		ep->bytes_per_s[dir] = limit(w, d, 200000);
		ep->packets_per_s[dir] = limit(w, d, 400);
		if (ep->bytes_per_s[dir] && dice_one_in(d, 3))
			ep->burst[dir] = dice_below(d, 300000);
		left[PK_BUCKET_BYTES + dir] = 1 + dice_below(d, 9000);
		left[PK_BUCKET_PACKETS + dir] = 1 + dice_below(d, 90);
		ep->new_flows_per_s[dir] = limit(w, d, 20);
		left[PK_BUCKET_NEW_FLOWS + dir] = dice_below(d, 1 + ep->new_flows_per_s[dir]);
	}
}

/* Domains: mostly short, one in twelve long, one in eight no domain's name. */
static void search(char *text, uint32_t room, struct dice *d)
{
	static const char *const names[] = { "service.consul", "a", "example.org.",
					     "no..name",       "-", "under_score.test",
					     "x.y.z.internal" };
	uint32_t used = 0, n;

	for (uint32_t names_left = dice_below(d, 7); names_left; names_left--) {
		const char *name = names[dice_below(d, sizeof(names) / sizeof(*names))];

		n = dice_one_in(d, 4) ? 60 + dice_below(d, 120) : (uint32_t)strlen(name);
		if (used + n + 2 > room)
			break;
		for (uint32_t i = 0; i < n; i++) {
			text[used + i] = i % 50 == 49 ? '.' : 'b';
			if (i < strlen(name) && n < 60)
				text[used + i] = name[i];
		}
		used += n;
		text[used++] = ' ';
	}
	text[used] = 0;
}

static void told(struct told *t, struct dice *d)
{
	uint32_t n = dice_one_in(d, 3) ? 0 : dice_below(d, PK_TOLD_HOST + 1);

	t->servers = dice_below(d, 9);
	for (uint32_t i = 0; i < t->servers; i++)
		t->server[i] = cast_address(dice_below(d, CAST), dice_one_in(d, 2));
	search(t->search, sizeof(t->search), d);
	memset(t->host, 'h', n);
}

void world_make(struct world *w, uint64_t seed)
{
	struct dice d = { seed };

	memset(w, 0, sizeof(*w));
	w->seed = seed;
	times(w, &d);
	node(w, &d);
	pool(w, 1, true);
	pool(w, 1, false);
	for (uint32_t set = 1; set < SETS; set++)
		if (!dice_one_in(&d, 30))
			rule_set(w, &d, set);
	for (uint32_t slot = 1; slot < SLOTS; slot++)
		endpoint(w, &d, slot), limits(w, &d, slot), told(&w->told[slot], &d);
	for (uint32_t n = dice_below(&d, 4); n; n--)
		publish(w, &d);
	for (int v4 = 0; v4 < 2; v4++) {
		struct row_remote row = { .value = { .flags = PK_REMOTE_NODE } };

		row.key = cast_address(REMOTE_NODE, v4);
		w->remote[w->remotes++] = row;
		row.key = cast_address(REMOTE_ENDPOINT, v4);
		row.value = (struct pk_remote){ .identity = 104, .tenant = 1 };
		w->remote[w->remotes++] = row;
	}
}

/* Stamped with the guard's clock. */
static void fill_buckets(const struct world *w, uint64_t ns, world_put put)
{
	for (uint32_t slot = 1; slot < SLOTS; slot++) {
		struct pk_bucket b = {};

		for (int kind = 0; kind < PK_BUCKET_EVENTS; kind++)
			if (w->tokens[slot][kind])
				b.tokens[kind] = ns / 1024 << 32 | w->tokens[slot][kind];
		put("buckets", &slot, &b);
	}
}

/* A mapping, and the bits of all ports that share a word with its own. */
static void put_published(const struct world *w, int nr, world_put put)
{
	const uint32_t at = PK_PORT_WORD(__builtin_bswap16(w->published[nr].key.port));
	uint64_t bits = 0;

	for (int i = 0; i < w->publisheds; i++) {
		uint16_t port = __builtin_bswap16(w->published[i].key.port);

		if (PK_PORT_WORD(port) == at)
			bits |= PK_PORT_BIT(port);
	}
	put("published_ports", &at, &bits);
	put("published", &w->published[nr].key, &w->published[nr].value);
}

/* As user space encodes it. */
static void put_told(const struct told *t, uint32_t slot, world_put put)
{
	struct pk_told told = {
		.servers = t->server, .n_servers = t->servers, .search = t->search, .host = t->host
	};
	struct pk_answers answers;

	pk_told_encode(&told, &answers);
	put("answers", &slot, &answers);
}

void world_fill(const struct world *w, uint64_t ns, world_put put)
{
	const struct pk_pool own = { .whose = PK_POOL_OWN };
	const uint32_t zero = 0;

	fill_buckets(w, ns, put);

	put("node", &zero, &w->node);
	for (uint32_t i = 0; i < SETS; i++)
		put("rule_sets", &i, &w->set[i]);
	for (uint32_t slot = 1; slot < SLOTS; slot++) {
		const struct pk_endpoint *ep = &w->ep[slot];
		struct pk_local local = { slot, ep->identity, ep->tenant, 0 };

		put("endpoints", &slot, ep);
		put("words", &slot, &w->word[slot]);
		put_told(&w->told[slot], slot, put);
		put("slots", &ep->host_ifindex, &slot);
		if (!addr_none(&ep->ipv4))
			put("by_address", &ep->ipv4, &local);
		if (!addr_none(&ep->ipv6))
			put("by_address", &ep->ipv6, &local);
	}
	for (int i = 0; i < w->pools; i++)
		put("pools", &w->pool[i].key, &own);
	for (int i = 0; i < w->remotes; i++)
		put("remote", &w->remote[i].key, &w->remote[i].value);
	for (int i = 0; i < w->publisheds; i++)
		put_published(w, i, put);
	for (int i = 0; i < w->opens; i++)
		put("open_ports", &w->open[i].key, &w->open[i].value);
	for (int i = 0; i < w->cidrs; i++)
		put("cidr", &w->cidr[i].key, &w->cidr[i].value);
	for (int i = 0; i < w->peers; i++)
		put("peer_class", &w->peer[i].key, &w->peer[i].value);
	for (int i = 0; i < w->verdicts; i++)
		put("verdicts", &w->verdict[i].key, &w->verdict[i].value);
}
