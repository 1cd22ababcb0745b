/* SPDX-License-Identifier: Apache-2.0 */
/* nftables' chains and rules, by netlink. iptables-nft's are the same ones. */
#include "firewall.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <netinet/in.h>
#include <stdint.h>
#include <string.h>

#include "nl_batch.h"

static const char *family_name(uint8_t family)
{
	if (family == NFPROTO_INET)
		return "inet";
	if (family == NFPROTO_IPV4)
		return "ip";
	return family == NFPROTO_IPV6 ? "ip6" : NULL;
}

static uint32_t number(const struct nlattr *attr)
{
	return attr ? ntohl(nla_get_u32(attr)) : 0;
}

static void read_chain(void *arg, struct nlmsghdr *h)
{
	const struct nfgenmsg *body = nlmsg_data(h);
	struct nlattr *tb[NFTA_CHAIN_MAX + 1], *hook[NFTA_HOOK_MAX + 1];
	const char *family = family_name(body->nfgen_family);
	struct pk_firewall *f = arg;
	struct pk_firewall_chain *c = &f->chain[f->n];
	uint32_t at;

	if (!family || f->n == PK_FIREWALL_CHAINS ||
	    nlmsg_parse(h, sizeof(*body), tb, NFTA_CHAIN_MAX, NULL) < 0 || !tb[NFTA_CHAIN_TABLE] ||
	    !tb[NFTA_CHAIN_NAME] || !tb[NFTA_CHAIN_POLICY] || !tb[NFTA_CHAIN_HOOK] ||
	    number(tb[NFTA_CHAIN_POLICY]) != NF_DROP ||
	    nla_parse_nested(hook, NFTA_HOOK_MAX, tb[NFTA_CHAIN_HOOK], NULL) < 0)
		return;
	at = number(hook[NFTA_HOOK_HOOKNUM]);
	if (!hook[NFTA_HOOK_HOOKNUM] || (at != NF_INET_LOCAL_IN && at != NF_INET_FORWARD))
		return;
	*c = (struct pk_firewall_chain){ .tool = "nft", .input = at == NF_INET_LOCAL_IN };
	strcpy(c->family, family);
	nla_strlcpy(c->table, tb[NFTA_CHAIN_TABLE], sizeof(c->table));
	nla_strlcpy(c->chain, tb[NFTA_CHAIN_NAME], sizeof(c->chain));
	f->n++;
}

/* What a rule asks and does, as far as it matters here. */
struct rule {
	uint32_t meta;	  /* the key that was read last */
	bool destination; /* what was read last is a port, the packet's destination */
	uint16_t asked;	  /* the port that matters */
	bool input, forward, udp, port;
	bool accepts;
};

static void compare(struct rule *rule, const void *value, int len)
{
	const uint16_t port = htons(rule->asked);
	const uint8_t udp = IPPROTO_UDP;

	if (rule->destination)
		rule->port |= rule->asked && len == 2 && memcmp(value, &port, 2) == 0;
	else if (rule->meta == NFT_META_L4PROTO)
		rule->udp |= len == 1 && memcmp(value, &udp, 1) == 0;
	else if (len == 2 && memcmp(value, "pk", 2) == 0) {
		rule->input |= rule->meta == NFT_META_IIFNAME;
		rule->forward |= rule->meta == NFT_META_OIFNAME;
	}
}

static void read_compared(struct rule *rule, struct nlattr *attr)
{
	struct nlattr *tb[NFTA_CMP_MAX + 1], *data[NFTA_DATA_MAX + 1];

	if (nla_parse_nested(tb, NFTA_CMP_MAX, attr, NULL) == 0 && tb[NFTA_CMP_DATA] &&
	    number(tb[NFTA_CMP_OP]) == NFT_CMP_EQ &&
	    nla_parse_nested(data, NFTA_DATA_MAX, tb[NFTA_CMP_DATA], NULL) == 0 &&
	    data[NFTA_DATA_VALUE])
		compare(rule, nla_data(data[NFTA_DATA_VALUE]), nla_len(data[NFTA_DATA_VALUE]));
}

/* The second half of a transport header's first word, of whichever protocol it is. */
static bool is_destination(struct nlattr *attr)
{
	struct nlattr *tb[NFTA_PAYLOAD_MAX + 1];

	return nla_parse_nested(tb, NFTA_PAYLOAD_MAX, attr, NULL) == 0 &&
	       number(tb[NFTA_PAYLOAD_BASE]) == NFT_PAYLOAD_TRANSPORT_HEADER &&
	       number(tb[NFTA_PAYLOAD_OFFSET]) == 2 && number(tb[NFTA_PAYLOAD_LEN]) == 2;
}

static bool is_accept(struct nlattr *attr)
{
	struct nlattr *tb[NFTA_IMMEDIATE_MAX + 1], *data[NFTA_DATA_MAX + 1];
	struct nlattr *verdict[NFTA_VERDICT_MAX + 1];

	return nla_parse_nested(tb, NFTA_IMMEDIATE_MAX, attr, NULL) == 0 &&
	       tb[NFTA_IMMEDIATE_DATA] &&
	       nla_parse_nested(data, NFTA_DATA_MAX, tb[NFTA_IMMEDIATE_DATA], NULL) == 0 &&
	       data[NFTA_DATA_VERDICT] &&
	       nla_parse_nested(verdict, NFTA_VERDICT_MAX, data[NFTA_DATA_VERDICT], NULL) == 0 &&
	       verdict[NFTA_VERDICT_CODE] && number(verdict[NFTA_VERDICT_CODE]) == NF_ACCEPT;
}

static void read_expression(struct rule *rule, struct nlattr *expression)
{
	struct nlattr *tb[NFTA_EXPR_MAX + 1], *meta[NFTA_META_MAX + 1];
	const char *name;

	if (nla_parse_nested(tb, NFTA_EXPR_MAX, expression, NULL) < 0 || !tb[NFTA_EXPR_NAME] ||
	    !tb[NFTA_EXPR_DATA])
		return;
	name = nla_get_string(tb[NFTA_EXPR_NAME]);
	if (!strcmp(name, "meta") || !strcmp(name, "payload"))
		rule->destination = *name == 'p' && is_destination(tb[NFTA_EXPR_DATA]);
	if (!strcmp(name, "meta") &&
	    nla_parse_nested(meta, NFTA_META_MAX, tb[NFTA_EXPR_DATA], NULL) == 0)
		rule->meta = number(meta[NFTA_META_KEY]);
	else if (!strcmp(name, "cmp"))
		read_compared(rule, tb[NFTA_EXPR_DATA]);
	else if (!strcmp(name, "immediate"))
		rule->accepts |= is_accept(tb[NFTA_EXPR_DATA]);
}

static void read_rule(void *arg, struct nlmsghdr *h)
{
	const struct nfgenmsg *body = nlmsg_data(h);
	struct nlattr *tb[NFTA_RULE_MAX + 1], *expression;
	const char *family = family_name(body->nfgen_family);
	struct pk_firewall *f = arg;
	struct rule rule = { .asked = f->port };
	int left;

	if (!family || nlmsg_parse(h, sizeof(*body), tb, NFTA_RULE_MAX, NULL) < 0 ||
	    !tb[NFTA_RULE_TABLE] || !tb[NFTA_RULE_EXPRESSIONS])
		return;
	nla_for_each_nested(expression, tb[NFTA_RULE_EXPRESSIONS], left)
		read_expression(&rule, expression);
	if (!rule.accepts)
		return;
	for (size_t i = 0; i < f->n; i++) {
		struct pk_firewall_chain *c = &f->chain[i];

		if (!strcmp(c->family, family) && nla_strcmp(tb[NFTA_RULE_TABLE], c->table) == 0) {
			c->opened |= c->input ? rule.input : rule.forward;
			c->port_opened |= rule.udp && rule.port;
		}
	}
}

static int dump(struct pk_nl *nl, uint16_t what, void (*each)(void *, struct nlmsghdr *),
		struct pk_firewall *f)
{
	struct nfgenmsg body = { .version = NFNETLINK_V0 };

	return pk_nl_ask(nl,
			 pk_nl_message((uint16_t)(NFNL_SUBSYS_NFTABLES << 8 | what), NLM_F_DUMP,
				       &body, sizeof(body)),
			 each, f);
}

int pk_firewall_read(struct pk_firewall *f, uint16_t port)
{
	own_nl *nl = NULL;
	int r = pk_nl_open_netfilter(&nl);

	f->n = 0;
	f->port = port;
	if (r == 0)
		r = dump(nl, NFT_MSG_GETCHAIN, read_chain, f);
	if (r == 0 && f->n)
		r = dump(nl, NFT_MSG_GETRULE, read_rule, f);
	/* A kernel without nftables has no chains of it. */
	if (r < 0 && r != -EINVAL && r != -EOPNOTSUPP && r != -EPROTONOSUPPORT)
		return r;
	return pk_firewall_read_legacy(f);
}
