/* SPDX-License-Identifier: Apache-2.0 */
/* Reads the table `filter` of iptables-legacy and ip6tables-legacy, where the netns has one. */
#include <errno.h>
#include <linux/netfilter/xt_tcpudp.h>
#include <linux/netfilter_ipv4/ip_tables.h>
#include <linux/netfilter_ipv6/ip6_tables.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "firewall.h"
#include "fs.h"
#include "own.h"

/* Both families' structs have the same fields at other places. */
struct family {
	const char *tool, *names;
	int domain, level;
	size_t in, in_mask, out, out_mask, target, next, matches;
};

#define FAMILY(kind, head, program, file, socket_domain, socket_level)                             \
	{                                                                                          \
		.tool = (program),                                                                 \
		.names = (file),                                                                   \
		.domain = (socket_domain),                                                         \
		.level = (socket_level),                                                           \
		.in = offsetof(struct kind##_entry, head.iniface),                                 \
		.in_mask = offsetof(struct kind##_entry, head.iniface_mask),                       \
		.out = offsetof(struct kind##_entry, head.outiface),                               \
		.out_mask = offsetof(struct kind##_entry, head.outiface_mask),                     \
		.target = offsetof(struct kind##_entry, target_offset),                            \
		.next = offsetof(struct kind##_entry, next_offset),                                \
		.matches = sizeof(struct kind##_entry),                                            \
	}

static const struct family families[] = {
	FAMILY(ipt, ip, "iptables-legacy", "/proc/net/ip_tables_names", AF_INET, IPPROTO_IP),
	FAMILY(ip6t, ipv6, "ip6tables-legacy", "/proc/net/ip6_tables_names", AF_INET6,
	       IPPROTO_IPV6),
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

/* Returns the verdict of an entry's standard target; 0 = it has another one. */
static int verdict_of(const struct family *family, const uint8_t *entry)
{
	const struct xt_standard_target *target =
		(const void *)(entry + half(entry, family->target));

	return *target->target.u.user.name ? 0 : target->verdict;
}

/* Returns whether it is "pk+": the first two letters are compared, and no more. */
static bool names_ours(const uint8_t *name, const uint8_t *mask)
{
	return !memcmp(name, "pk", 2) && mask[0] && mask[1] && !mask[2];
}

/* Returns whether a match of the entry is on that destination port of UDP. */
static bool names_port(const struct family *family, const uint8_t *entry, uint16_t port)
{
	size_t end = half(entry, family->target), size;

	for (size_t at = family->matches; at + sizeof(struct xt_entry_match) <= end; at += size) {
		const struct xt_entry_match *match = (const void *)(entry + at);
		const struct xt_udp *udp = (const void *)match->data;

		size = match->u.match_size;
		if (!strcmp(match->u.user.name, "udp") && !(udp->invflags & XT_UDP_INV_DSTPT))
			return port && udp->dpts[0] <= port && port <= udp->dpts[1];
		if (!size)
			break;
	}
	return false;
}

struct table {
	const struct family *family;
	struct ipt_getinfo info;
	struct ipt_get_entries *entries; /* the entries of either family */
};

static void add_chain(struct pk_firewall *f, const struct table *t, unsigned int hook)
{
	const struct family *family = t->family;
	const uint8_t *first = (const uint8_t *)t->entries->entrytable;
	struct pk_firewall_chain *c = &f->chain[f->n];
	size_t size;

	if (f->n == PK_FIREWALL_CHAINS ||
	    verdict_of(family, first + t->info.underflow[hook]) != -NF_DROP - 1)
		return;
	*c = (struct pk_firewall_chain){ .table = "filter", .input = hook == NF_INET_LOCAL_IN };
	snprintf(c->tool, sizeof(c->tool), "%s", family->tool);
	snprintf(c->chain, sizeof(c->chain), "%s", c->input ? "INPUT" : "FORWARD");
	f->n++;
	for (size_t at = 0; at < t->info.size; at += size) {
		const uint8_t *e = first + at;

		size = half(e, family->next);
		if (verdict_of(family, e) == -NF_ACCEPT - 1) {
			c->opened |= c->input ? names_ours(e + family->in, e + family->in_mask)
					      : names_ours(e + family->out, e + family->out_mask);
			c->port_opened |= names_port(family, e, f->port);
		}
		if (!size)
			return;
	}
}

static int read_family(struct pk_firewall *f, const struct family *family)
{
	struct table t = { .family = family, .info.name = "filter" };
	own_fd int fd = socket(family->domain, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW);
	own_mem struct ipt_get_entries *entries = NULL;
	socklen_t size = sizeof(t.info);

	if (fd < 0 || getsockopt(fd, family->level, IPT_SO_GET_INFO, &t.info, &size) < 0)
		return -errno;
	size = (socklen_t)(sizeof(*entries) + t.info.size);
	entries = pk_alloc(size);
	strcpy(entries->name, "filter");
	entries->size = t.info.size;
	if (getsockopt(fd, family->level, IPT_SO_GET_ENTRIES, entries, &size) < 0)
		return -errno;
	t.entries = entries;
	add_chain(f, &t, NF_INET_LOCAL_IN);
	add_chain(f, &t, NF_INET_FORWARD);
	return 0;
}

int pk_firewall_read_legacy(struct pk_firewall *f)
{
	int r = 0;

	for (size_t i = 0; i < PK_ARRAY_LEN(families) && r == 0; i++)
		if (has_table(&families[i]))
			r = read_family(f, &families[i]);
	return r;
}
