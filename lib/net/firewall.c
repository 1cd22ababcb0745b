/* SPDX-License-Identifier: Apache-2.0 */
/* nftables' chains and rules, by netlink. iptables-nft's are the same ones. */
#include "firewall.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nf_tables_compat.h>
#include <linux/netfilter/nfnetlink.h>
#include <netinet/in.h>
#include <stdint.h>
#include <string.h>

#include "firewall_private.h"
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

/*
 * Reads the hook of a base chain. Only the two hooks matter: a base chain at another one is left
 * out, and no jump leads to it.
 */
static void read_hook(struct fw_chain *c, struct nlattr *tb[NFTA_CHAIN_MAX + 1])
{
	struct nlattr *hook[NFTA_HOOK_MAX + 1];
	uint32_t at;

	if (!tb[NFTA_CHAIN_HOOK] ||
	    nla_parse_nested(hook, NFTA_HOOK_MAX, tb[NFTA_CHAIN_HOOK], NULL) < 0 ||
	    !hook[NFTA_HOOK_HOOKNUM])
		return;
	at = number(hook[NFTA_HOOK_HOOKNUM]);
	c->base = at == NF_INET_LOCAL_IN || at == NF_INET_FORWARD;
	c->hook = at == NF_INET_LOCAL_IN ? FW_INPUT : FW_FORWARD;
	c->drops = tb[NFTA_CHAIN_POLICY] && number(tb[NFTA_CHAIN_POLICY]) == NF_DROP;
}

static void read_chain(void *arg, struct nlmsghdr *h)
{
	const struct nfgenmsg *body = nlmsg_data(h);
	const char *family = family_name(body->nfgen_family);
	struct nlattr *tb[NFTA_CHAIN_MAX + 1];
	struct fw_chain c = { .tool = "nft" };
	struct fw_chains *all = arg;

	if (!family || nlmsg_parse(h, sizeof(*body), tb, NFTA_CHAIN_MAX, NULL) < 0 ||
	    !tb[NFTA_CHAIN_TABLE] || !tb[NFTA_CHAIN_NAME])
		return;
	strcpy(c.family, family);
	nla_strlcpy(c.table, tb[NFTA_CHAIN_TABLE], sizeof(c.table));
	nla_strlcpy(c.name, tb[NFTA_CHAIN_NAME], sizeof(c.name));
	read_hook(&c, tb);
	fw_chain_add(all, &c);
}

/* A rule while its expressions are read. */
struct reading {
	const struct fw_chains *all;
	const char *family;
	char table[FW_NAME];
	struct fw_rule rule;
	enum { READ_OTHER, READ_IN, READ_OUT, READ_PROTOCOL, READ_PORT } last; /* in the register */
};

static void read_meta(struct reading *r, struct nlattr *attr)
{
	struct nlattr *tb[NFTA_META_MAX + 1];
	uint32_t key;

	r->last = READ_OTHER;
	if (nla_parse_nested(tb, NFTA_META_MAX, attr, NULL) < 0 || !tb[NFTA_META_DREG])
		return; /* it sets a mark, or a priority */
	key = number(tb[NFTA_META_KEY]);
	if (key == NFT_META_IIFNAME)
		r->last = READ_IN;
	else if (key == NFT_META_OIFNAME)
		r->last = READ_OUT;
	else if (key == NFT_META_L4PROTO)
		r->last = READ_PROTOCOL;
	else
		fw_rule_maybe(&r->rule);
}

/* The second half of a transport header's first word is the destination port. */
static void read_payload(struct reading *r, struct nlattr *attr)
{
	struct nlattr *tb[NFTA_PAYLOAD_MAX + 1];

	r->last = READ_OTHER;
	if (nla_parse_nested(tb, NFTA_PAYLOAD_MAX, attr, NULL) == 0 &&
	    number(tb[NFTA_PAYLOAD_BASE]) == NFT_PAYLOAD_TRANSPORT_HEADER &&
	    number(tb[NFTA_PAYLOAD_OFFSET]) == 2 && number(tb[NFTA_PAYLOAD_LEN]) == 2)
		r->last = READ_PORT;
	else
		fw_rule_maybe(&r->rule);
}

static void compare(struct reading *r, const void *value, size_t n, bool negated)
{
	const uint16_t port = htons(r->all->port);
	const uint8_t udp = IPPROTO_UDP;

	if (r->last == READ_IN || r->last == READ_OUT)
		fw_rule_device(&r->rule, r->last == READ_IN, value, n, negated);
	else if (r->last == READ_PROTOCOL && n == 1)
		fw_rule_port(&r->rule, (memcmp(value, &udp, 1) == 0) != negated);
	else if (r->last == READ_PORT && n == 2)
		fw_rule_port(&r->rule, (memcmp(value, &port, 2) == 0) != negated);
	else
		fw_rule_maybe(&r->rule);
}

static void read_compared(struct reading *r, struct nlattr *attr)
{
	struct nlattr *tb[NFTA_CMP_MAX + 1], *data[NFTA_DATA_MAX + 1], *value;
	uint32_t op;

	if (nla_parse_nested(tb, NFTA_CMP_MAX, attr, NULL) < 0 || !tb[NFTA_CMP_DATA] ||
	    nla_parse_nested(data, NFTA_DATA_MAX, tb[NFTA_CMP_DATA], NULL) < 0 ||
	    !data[NFTA_DATA_VALUE]) {
		fw_rule_maybe(&r->rule);
		return;
	}
	op = number(tb[NFTA_CMP_OP]);
	value = data[NFTA_DATA_VALUE];
	if (op == NFT_CMP_EQ || op == NFT_CMP_NEQ)
		compare(r, nla_data(value), (size_t)nla_len(value), op == NFT_CMP_NEQ);
	else
		fw_rule_maybe(&r->rule);
}

static enum fw_verdict verdict_of(uint32_t code)
{
	switch ((int32_t)code) {
	case NF_ACCEPT:
		return FW_ACCEPT;
	case NF_DROP:
		return FW_DROP;
	case NFT_RETURN:
		return FW_RETURN;
	case NFT_JUMP:
		return FW_JUMP;
	case NFT_GOTO:
		return FW_GOTO;
	default:
		return FW_NEXT;
	}
}

static void read_immediate(struct reading *r, struct nlattr *attr)
{
	struct nlattr *tb[NFTA_IMMEDIATE_MAX + 1], *data[NFTA_DATA_MAX + 1];
	struct nlattr *verdict[NFTA_VERDICT_MAX + 1];
	char chain[FW_NAME];

	if (nla_parse_nested(tb, NFTA_IMMEDIATE_MAX, attr, NULL) < 0 || !tb[NFTA_IMMEDIATE_DATA] ||
	    nla_parse_nested(data, NFTA_DATA_MAX, tb[NFTA_IMMEDIATE_DATA], NULL) < 0 ||
	    !data[NFTA_DATA_VERDICT] ||
	    nla_parse_nested(verdict, NFTA_VERDICT_MAX, data[NFTA_DATA_VERDICT], NULL) < 0 ||
	    !verdict[NFTA_VERDICT_CODE])
		return;
	r->rule.verdict = verdict_of(number(verdict[NFTA_VERDICT_CODE]));
	if (!verdict[NFTA_VERDICT_CHAIN])
		return;
	nla_strlcpy(chain, verdict[NFTA_VERDICT_CHAIN], sizeof(chain));
	r->rule.to = fw_chain_find(r->all, r->family, r->table, chain);
}

/* iptables-nft's own matches and targets. A comment asks nothing. */
static bool is_named(struct nlattr *attr, const char *name)
{
	/* NFTA_MATCH_NAME and NFTA_TARGET_NAME are one number. */
	struct nlattr *tb[NFTA_MATCH_MAX + 1];

	return nla_parse_nested(tb, NFTA_MATCH_MAX, attr, NULL) == 0 && tb[NFTA_MATCH_NAME] &&
	       nla_strcmp(tb[NFTA_MATCH_NAME], name) == 0;
}

static void read_expression(struct reading *r, struct nlattr *expression)
{
	struct nlattr *tb[NFTA_EXPR_MAX + 1], *data;
	const char *name;

	if (nla_parse_nested(tb, NFTA_EXPR_MAX, expression, NULL) < 0 || !tb[NFTA_EXPR_NAME])
		return;
	name = nla_get_string(tb[NFTA_EXPR_NAME]);
	data = tb[NFTA_EXPR_DATA];
	if (!strcmp(name, "counter") || !strcmp(name, "log"))
		return;
	if (!strcmp(name, "reject")) {
		r->rule.verdict = FW_DROP;
		return;
	}
	if (!data) {
		fw_rule_maybe(&r->rule);
		return;
	}
	if (!strcmp(name, "meta"))
		read_meta(r, data);
	else if (!strcmp(name, "payload"))
		read_payload(r, data);
	else if (!strcmp(name, "cmp"))
		read_compared(r, data);
	else if (!strcmp(name, "immediate"))
		read_immediate(r, data);
	else if (!strcmp(name, "target"))
		r->rule.verdict = is_named(data, "REJECT") ? FW_DROP : FW_NEXT;
	else if (strcmp(name, "match") != 0 || !is_named(data, "comment"))
		fw_rule_maybe(&r->rule);
}

static void read_rule(void *arg, struct nlmsghdr *h)
{
	const struct nfgenmsg *body = nlmsg_data(h);
	const char *family = family_name(body->nfgen_family);
	struct nlattr *tb[NFTA_RULE_MAX + 1], *expression;
	struct fw_chains *all = arg;
	struct reading r = { .all = all, .family = family, .rule = fw_rule_any() };
	char chain[FW_NAME];
	size_t at;
	int left;

	if (!family || nlmsg_parse(h, sizeof(*body), tb, NFTA_RULE_MAX, NULL) < 0 ||
	    !tb[NFTA_RULE_TABLE] || !tb[NFTA_RULE_CHAIN] || !tb[NFTA_RULE_EXPRESSIONS])
		return;
	nla_strlcpy(r.table, tb[NFTA_RULE_TABLE], sizeof(r.table));
	nla_strlcpy(chain, tb[NFTA_RULE_CHAIN], sizeof(chain));
	at = fw_chain_find(all, family, r.table, chain);
	nla_for_each_nested(expression, tb[NFTA_RULE_EXPRESSIONS], left)
		read_expression(&r, expression);
	if (at != FW_NOWHERE && r.rule.verdict != FW_NEXT)
		fw_chain_rule(&all->chain[at], &r.rule);
}

static int dump(struct pk_nl *nl, uint16_t what, void (*each)(void *, struct nlmsghdr *),
		struct fw_chains *all)
{
	struct nfgenmsg body = { .version = NFNETLINK_V0 };

	return pk_nl_ask(nl,
			 pk_nl_message((uint16_t)(NFNL_SUBSYS_NFTABLES << 8 | what), NLM_F_DUMP,
				       &body, sizeof(body)),
			 each, all);
}

int pk_firewall_read(struct pk_firewall *f, uint16_t port)
{
	struct fw_chains all = { .port = port };
	own_nl *nl = NULL;
	int r = pk_nl_open_netfilter(&nl);

	f->n = 0;
	if (r == 0)
		r = dump(nl, NFT_MSG_GETCHAIN, read_chain, &all);
	if (r == 0 && all.n)
		r = dump(nl, NFT_MSG_GETRULE, read_rule, &all);
	/* A kernel without nftables has no chains of it. */
	if (r == 0 || r == -EINVAL || r == -EOPNOTSUPP || r == -EPROTONOSUPPORT)
		r = pk_firewall_read_legacy(&all);
	if (r == 0)
		fw_walk(&all, f);
	fw_chains_free(&all);
	return r;
}
