/* SPDX-License-Identifier: Apache-2.0 */
/* The table `filter` of iptables-legacy and ip6tables-legacy, where the netns has one. */
#include <errno.h>
#include <linux/netfilter/xt_tcpudp.h>
#include <linux/netfilter_ipv4/ip_tables.h>
#include <linux/netfilter_ipv6/ip6_tables.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "firewall_private.h"
#include "fs.h"
#include "own.h"

/* Both families' structs have the same fields at other places. */
struct family {
	const char *tool, *names;
	int domain, level;
	size_t in, in_mask, out, out_mask, addresses, addresses_len, proto, flags, inverted;
	uint8_t go; /* the flag of a jump that doesn't come back */
	size_t target, next, head;
};

#define FAMILY(kind, part, program, file, socket_domain, socket_level, masks, masks_len, go_flag)  \
	{                                                                                          \
		.tool = (program),                                                                 \
		.names = (file),                                                                   \
		.domain = (socket_domain),                                                         \
		.level = (socket_level),                                                           \
		.in = offsetof(struct kind##_entry, part.iniface),                                 \
		.in_mask = offsetof(struct kind##_entry, part.iniface_mask),                       \
		.out = offsetof(struct kind##_entry, part.outiface),                               \
		.out_mask = offsetof(struct kind##_entry, part.outiface_mask),                     \
		.addresses = offsetof(struct kind##_entry, part.masks),                            \
		.addresses_len = (masks_len),                                                      \
		.proto = offsetof(struct kind##_entry, part.proto),                                \
		.flags = offsetof(struct kind##_entry, part.flags),                                \
		.inverted = offsetof(struct kind##_entry, part.invflags),                          \
		.go = (go_flag),                                                                   \
		.target = offsetof(struct kind##_entry, target_offset),                            \
		.next = offsetof(struct kind##_entry, next_offset),                                \
		.head = sizeof(struct kind##_entry),                                               \
	}

static const struct family families[] = {
	FAMILY(ipt, ip, "iptables-legacy", "/proc/net/ip_tables_names", AF_INET, IPPROTO_IP, smsk,
	       8, IPT_F_GOTO),
	FAMILY(ip6t, ipv6, "ip6tables-legacy", "/proc/net/ip6_tables_names", AF_INET6, IPPROTO_IPV6,
	       smsk, 32, IP6T_F_GOTO),
};

/* Returns whether the table is there: to ask for one that isn't would make it. */
static bool has_table(const struct family *family)
{
	own_mem char *text = NULL;

	return pk_fs_read(family->names, 4096, &text, NULL, NULL) == 0 && strstr(text, "filter\n");
}

static uint16_t half(const uint8_t *entry, size_t at)
{
	uint16_t value;

	memcpy(&value, entry + at, sizeof(value));
	return value;
}

struct table {
	const struct family *family;
	struct ipt_getinfo info;
	struct ipt_get_entries *entries; /* of either family */
	struct fw_chains *all;
};

static const uint8_t *entry_at(const struct table *t, size_t at)
{
	return (const uint8_t *)t->entries->entrytable + at;
}

static const struct xt_standard_target *target_of(const struct table *t, const uint8_t *entry)
{
	return (const void *)(entry + half(entry, t->family->target));
}

static bool is_target(const struct table *t, const uint8_t *entry, const char *name)
{
	return !strcmp(target_of(t, entry)->target.u.user.name, name);
}

static size_t next_of(const struct table *t, size_t at)
{
	uint16_t size = half(entry_at(t, at), t->family->next);

	return size ? at + size : t->info.size;
}

/* A chain's name is the place of its first rule, which jumps name. */
static void name_chain(char name[FW_NAME], size_t first)
{
	snprintf(name, FW_NAME, "@%zu", first);
}

static bool any_bit(const uint8_t *bytes, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (bytes[i])
			return true;
	return false;
}

static void read_device(struct fw_rule *rule, bool in, const uint8_t *name, const uint8_t *mask,
			bool inverted)
{
	size_t n = 0;

	while (n < IFNAMSIZ && mask[n])
		n++;
	if (n)
		fw_rule_device(rule, in, (const char *)name, n, inverted);
}

/* Returns whether a match asks for the port alone: any source port, that destination port. */
static bool is_on_port(const struct table *t, const struct xt_entry_match *match)
{
	const struct xt_udp *udp = (const void *)match->data;
	uint16_t port = t->all->port;

	return !strcmp(match->u.user.name, "udp") && !udp->invflags && !udp->spts[0] &&
	       udp->spts[1] == 0xffff && udp->dpts[0] <= port && port <= udp->dpts[1];
}

/*
 * Reads what the rule's matches ask. Comments ask nothing; of the port's packet the protocol and
 * the destination port are known.
 */
static void read_matches(const struct table *t, const uint8_t *entry, struct fw_rule *rule)
{
	size_t end = half(entry, t->family->target);
	const struct xt_entry_match *match;

	for (size_t at = t->family->head; at < end; at += match->u.match_size) {
		match = (const void *)(entry + at);
		if (match->u.match_size && is_on_port(t, match))
			fw_rule_port(rule, true);
		else if (!match->u.match_size || strcmp(match->u.user.name, "comment") != 0)
			fw_rule_maybe(rule);
		if (!match->u.match_size)
			return;
	}
}

static void read_verdict(const struct table *t, const uint8_t *entry, struct fw_rule *rule)
{
	const struct family *family = t->family;
	int verdict = target_of(t, entry)->verdict;
	char name[FW_NAME];

	if (is_target(t, entry, "REJECT"))
		rule->verdict = FW_DROP;
	if (!is_target(t, entry, XT_STANDARD_TARGET))
		return;
	if (verdict >= 0) {
		rule->verdict = entry[family->flags] & family->go ? FW_GOTO : FW_JUMP;
		name_chain(name, (size_t)verdict);
		rule->to = fw_chain_find(t->all, "", family->tool, name);
	} else if (verdict == XT_RETURN) {
		rule->verdict = FW_RETURN;
	} else {
		rule->verdict = verdict == -NF_ACCEPT - 1 ? FW_ACCEPT : FW_DROP;
	}
}

static void read_rule(const struct table *t, const uint8_t *entry, struct fw_rule *rule)
{
	const struct family *family = t->family;
	uint8_t inverted = entry[family->inverted];

	*rule = fw_rule_any();
	if (any_bit(entry + family->addresses, family->addresses_len) ||
	    inverted & ~(IPT_INV_VIA_IN | IPT_INV_VIA_OUT))
		fw_rule_maybe(rule);
	if (half(entry, family->proto))
		fw_rule_port(rule, half(entry, family->proto) == IPPROTO_UDP);
	read_matches(t, entry, rule);
	read_device(rule, true, entry + family->in, entry + family->in_mask,
		    inverted & IPT_INV_VIA_IN);
	read_device(rule, false, entry + family->out, entry + family->out_mask,
		    inverted & IPT_INV_VIA_OUT);
	read_verdict(t, entry, rule);
}

/* Calls each for every chain: of a base chain's hook, or -1, with the place of its first rule. */
static void each_chain(const struct table *t, void (*each)(const struct table *, int, size_t))
{
	for (int hook = NF_INET_LOCAL_IN; hook <= NF_INET_LOCAL_OUT; hook++)
		each(t, hook, t->info.hook_entry[hook]);
	for (size_t at = 0; at < t->info.size; at = next_of(t, at))
		if (is_target(t, entry_at(t, at), XT_ERROR_TARGET) && next_of(t, at) < t->info.size)
			each(t, -1, next_of(t, at));
}

static void add_chain(const struct table *t, int hook, size_t first)
{
	struct fw_chain c = { .base = hook == NF_INET_LOCAL_IN || hook == NF_INET_FORWARD,
			      .hook = hook == NF_INET_LOCAL_IN ? FW_INPUT : FW_FORWARD };

	snprintf(c.tool, sizeof(c.tool), "%s", t->family->tool);
	snprintf(c.table, sizeof(c.table), "%s", t->family->tool);
	name_chain(c.name, first);
	fw_chain_add(t->all, &c);
}

/* A chain ends before the next one's head, a base chain with its policy's rule. */
static void fill_chain(const struct table *t, int hook, size_t first)
{
	size_t last = hook < 0 ? t->info.size : t->info.underflow[hook], chain;
	struct fw_rule rule;
	char name[FW_NAME];

	name_chain(name, first);
	chain = fw_chain_find(t->all, "", t->family->tool, name);
	for (size_t at = first; at < t->info.size && at <= last; at = next_of(t, at)) {
		if (is_target(t, entry_at(t, at), XT_ERROR_TARGET))
			return;
		read_rule(t, entry_at(t, at), &rule);
		if (rule.verdict != FW_NEXT)
			fw_chain_rule(&t->all->chain[chain], &rule);
	}
}

/* Base chains get the names that people know them by. */
static void show_names(struct fw_chains *all, size_t from)
{
	for (size_t i = from; i < all->n; i++) {
		struct fw_chain *c = &all->chain[i];

		snprintf(c->table, sizeof(c->table), "filter");
		if (c->base)
			snprintf(c->name, sizeof(c->name), "%s",
				 c->hook == FW_INPUT ? "INPUT" : "FORWARD");
	}
}

static int read_family(struct fw_chains *all, const struct family *family)
{
	struct table t = { .family = family, .info.name = "filter", .all = all };
	own_fd int fd = socket(family->domain, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW);
	own_mem struct ipt_get_entries *entries = NULL;
	socklen_t size = sizeof(t.info);
	size_t from = all->n;

	if (fd < 0 || getsockopt(fd, family->level, IPT_SO_GET_INFO, &t.info, &size) < 0)
		return -errno;
	size = (socklen_t)(sizeof(*entries) + t.info.size);
	entries = pk_alloc(size);
	strcpy(entries->name, "filter");
	entries->size = t.info.size;
	if (getsockopt(fd, family->level, IPT_SO_GET_ENTRIES, entries, &size) < 0)
		return -errno;
	t.entries = entries;
	each_chain(&t, add_chain);
	each_chain(&t, fill_chain);
	show_names(all, from);
	return 0;
}

int pk_firewall_read_legacy(struct fw_chains *all)
{
	int r = 0;

	for (size_t i = 0; i < PK_ARRAY_LEN(families) && r == 0; i++)
		if (has_table(&families[i]))
			r = read_family(all, &families[i]);
	return r;
}
