/* SPDX-License-Identifier: Apache-2.0 */
#include "stack.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_link.h>
#include <linux/ip.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "nl_batch.h"
#include "own.h"

#define TREE6 "/proc/sys/net/ipv6/conf"

/*
 * forwarding: the FIB answers for packets from this device (no global ip_forward). accept_local:
 * an endpoint's packet to the node may come with an address that the node routes to itself.
 * arp_ignore 8, arp_announce 2: the node's stack says nothing there; the guard answers.
 */
static const struct setting {
	enum pk_nl_conf conf;
	int32_t value;
	const char *name;
	int attr;	  /* IPv4: IPV4_DEVCONF_* */
	const char *file; /* IPv6: below the link's directory; NULL: IPv4 */
} settings[] = {
	{ PK_NL_V4_FORWARDING, 1, "ipv4 forwarding", IPV4_DEVCONF_FORWARDING, NULL },
	{ PK_NL_V4_ACCEPT_LOCAL, 1, "ipv4 accept_local", IPV4_DEVCONF_ACCEPT_LOCAL, NULL },
	{ PK_NL_V4_RP_FILTER, 0, "ipv4 rp_filter", IPV4_DEVCONF_RP_FILTER, NULL },
	{ PK_NL_V4_ARP_IGNORE, 8, "ipv4 arp_ignore", IPV4_DEVCONF_ARP_IGNORE, NULL },
	{ PK_NL_V4_ARP_ANNOUNCE, 2, "ipv4 arp_announce", IPV4_DEVCONF_ARP_ANNOUNCE, NULL },
	{ PK_NL_V6_ACCEPT_RA, 0, "ipv6 accept_ra", 0, "accept_ra" },
	{ PK_NL_V6_ACCEPT_DAD, 0, "ipv6 accept_dad", 0, "accept_dad" },
	{ PK_NL_V6_FORWARDING, 1, "ipv6 forwarding", 0, "forwarding" },
};

void pk_stack_push(struct pk_nl *nl, uint32_t ifindex)
{
	struct ifinfomsg body = { .ifi_index = (int)ifindex };
	struct nl_msg *msg = pk_nl_message(RTM_NEWLINK, 0, &body, sizeof(body));
	struct nlattr *spec = nla_nest_start(msg, IFLA_AF_SPEC), *inet, *conf;

	inet = nla_nest_start(msg, AF_INET);
	conf = nla_nest_start(msg, IFLA_INET_CONF);
	for (size_t i = 0; i < PK_ARRAY_LEN(settings); i++)
		if (!settings[i].file)
			nla_put_u32(msg, settings[i].attr, (uint32_t)settings[i].value);
	nla_nest_end(msg, conf);
	nla_nest_end(msg, inet);
	pk_nl_put_no_addrgen(msg);
	nla_nest_end(msg, spec);
	pk_nl_push(nl, msg, "settings of link %u", ifindex);
}

static int write_one(int directory, const char *link, const struct setting *s, struct pk_err *err)
{
	own_fd int fd = openat(directory, s->file, O_WRONLY | O_CLOEXEC);
	char value[16];
	int n = snprintf(value, sizeof(value), "%d", s->value);

	if (fd < 0 || write(fd, value, (size_t)n) != n)
		return pk_code(err, pk_fail(err, errno, "set " TREE6 "/%s/%s", link, s->file),
			       PK_CODE_KERNEL);
	return 0;
}

int pk_stack_write6(const char *link, struct pk_err *err)
{
	own_fd int directory = -1;
	char path[64];
	int r = 0;

	snprintf(path, sizeof(path), TREE6 "/%s", link);
	directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (directory < 0 && errno == ENOENT && access(TREE6, F_OK) < 0)
		return 0;
	if (directory < 0)
		return pk_code(err, pk_fail(err, errno, "open %s", path), PK_CODE_KERNEL);
	for (size_t i = 0; i < PK_ARRAY_LEN(settings) && r == 0; i++)
		if (settings[i].file)
			r = write_one(directory, link, &settings[i], err);
	return r;
}

const char *pk_stack_wrong(const struct pk_nl_link *link)
{
	for (size_t i = 0; i < PK_ARRAY_LEN(settings); i++) {
		const struct setting *s = &settings[i];

		if (link->conf_known & 1u << s->conf && link->conf[s->conf] != s->value)
			return s->name;
	}
	return NULL;
}

int pk_stack_mend(struct pk_nl *nl, const struct pk_nl_link *link, struct pk_err *err)
{
	int r;

	pk_stack_push(nl, link->ifindex);
	r = pk_nl_send(nl, err);
	return r < 0 ? r : pk_stack_write6(link->name, err);
}

static bool reads_one(const char *path)
{
	own_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
	char c = '0';

	return fd >= 0 && read(fd, &c, 1) == 1 && c == '1';
}

bool pk_ipv6_is_off(void)
{
	return access(TREE6, F_OK) < 0 || reads_one(TREE6 "/all/disable_ipv6") ||
	       reads_one(TREE6 "/default/disable_ipv6");
}
