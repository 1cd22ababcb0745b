/* SPDX-License-Identifier: GPL-2.0-only */
/* picket flows: one line a decision, with the rule or the absence of one. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "addr.h"
#include "cli.h"
#include "ctl.h"
#include "out.h"
#include "own.h"

#define LINE_MAX_BYTES (256u << 10)
#define KEPT "4096"

/* -x, -from-x, -to-x: either side, the source, the destination. */
enum side { EITHER, FROM, TO };
enum what { IP, PORT, SIDE_MEMBER, LABEL, MEMBER, POLICY };
static const struct {
	const char *option;
	enum what what;
	enum side side;
	const char *member;
} filters[] = {
	{ "ip", IP, EITHER, NULL },
	{ "from-ip", IP, FROM, NULL },
	{ "to-ip", IP, TO, NULL },
	{ "port", PORT, EITHER, NULL },
	{ "from-port", PORT, FROM, NULL },
	{ "to-port", PORT, TO, NULL },
	{ "namespace", SIDE_MEMBER, EITHER, "namespace" },
	{ "from-namespace", SIDE_MEMBER, FROM, "namespace" },
	{ "to-namespace", SIDE_MEMBER, TO, "namespace" },
	{ "job", SIDE_MEMBER, EITHER, "job" },
	{ "from-job", SIDE_MEMBER, FROM, "job" },
	{ "to-job", SIDE_MEMBER, TO, "job" },
	{ "group", SIDE_MEMBER, EITHER, "group" },
	{ "alloc", SIDE_MEMBER, EITHER, "alloc" },
	{ "label", LABEL, EITHER, NULL },
	{ "from-label", LABEL, FROM, NULL },
	{ "to-label", LABEL, TO, NULL },
	{ "verdict", MEMBER, EITHER, "verdict" },
	{ "reason", MEMBER, EITHER, "reason" },
	{ "protocol", MEMBER, EITHER, "protocol" },
	{ "direction", MEMBER, EITHER, "direction" },
	{ "policy", POLICY, EITHER, NULL },
};

struct reader {
	const struct cli *cli;
	size_t shown;
};

static bool ip_is(const struct pk_json *side, const char *value)
{
	struct pk_prefix prefix;
	union pk_addr addr;

	return pk_prefix_parse(value, &prefix) == 0 &&
	       pk_addr_parse(cli_text(side, "ip"), &addr) == 0 && pk_prefix_has(&prefix, &addr);
}

static bool has_label(const struct pk_json *side, const char *value)
{
	const struct pk_json *labels = cli_member(side, "labels");

	for (const struct pk_json *l = labels ? pk_json_first(labels) : NULL; l;
	     l = pk_json_next(l))
		if (pk_json_string(l) && !strcmp(pk_json_string(l), value))
			return true;
	return false;
}

static bool side_is(size_t f, const struct pk_json *side, const char *value)
{
	switch (filters[f].what) {
	case IP:
		return ip_is(side, value);
	case PORT:
		return (long)pk_json_number(cli_member(side, "port")) == strtol(value, NULL, 10);
	case LABEL:
		return has_label(side, value);
	case SIDE_MEMBER:
		if (!strcmp(filters[f].member, "alloc"))
			return !strncmp(cli_text(side, "alloc"), value, strlen(value));
		return !strcmp(cli_text(side, filters[f].member), value);
	case MEMBER:
	case POLICY:
		break;
	}
	return false;
}

static bool matches(size_t f, const struct pk_json *flow, const char *value)
{
	if (filters[f].what == MEMBER)
		return !strcmp(cli_text(flow, filters[f].member), value);
	if (filters[f].what == POLICY)
		return !strcmp(cli_text(flow, "policy"), value);
	return (filters[f].side != TO && side_is(f, cli_member(flow, "source"), value)) ||
	       (filters[f].side != FROM && side_is(f, cli_member(flow, "destination"), value));
}

/* All options must hold; of one given more than once any value. */
static bool wanted(const struct cli *cli, const struct pk_json *flow)
{
	for (size_t f = 0; f < PK_ARRAY_LEN(filters); f++) {
		const char *value;
		bool any = !cli_has(cli, filters[f].option);

		for (size_t n = 0; !any && (value = cli_nth(cli, filters[f].option, n)); n++)
			any = matches(f, flow, value);
		if (!any)
			return false;
	}
	if (cli_has(cli, "4") || cli_has(cli, "6"))
		return !strchr(cli_text(flow, "source.ip"), ':') == cli_has(cli, "4");
	return true;
}

static void put_side(struct pk_str *line, const struct cli *cli, const struct pk_json *side)
{
	const char *name = cli_text(side, "name");
	int port = (int)pk_json_number(cli_member(side, "port"));
	bool numeric = cli_has(cli, "numeric") || !*name || !strcmp(name, "world") ||
		       !strcmp(name, "unknown");
	own_str text = { 0 };

	pk_str_add_escaped(&text, numeric ? cli_text(side, "ip") : name);
	if (port)
		pk_str_addf(&text, ":%d", port);
	pk_str_addf(line, "%-28s ", text.text ? text.text : "-");
}

static const char *verdict_color(const struct pk_json *flow)
{
	if (!strcmp(cli_text(flow, "verdict"), "allowed"))
		return *cli_text(flow, "audit") ? CLI_YELLOW : NULL;
	return CLI_RED;
}

static void put_rule(struct pk_str *line, const struct pk_json *flow)
{
	pk_str_addf(line, "%s %s", cli_text(flow, "reason"), cli_text(flow, "direction"));
	if (*cli_text(flow, "policy")) {
		pk_str_add(line, ", ");
		pk_str_add_escaped(line, cli_text(flow, "policy"));
		if (*cli_text(flow, "rule.description")) {
			pk_str_add(line, " \"");
			pk_str_add_escaped(line, cli_text(flow, "rule.description"));
			pk_str_add(line, "\"");
		}
	} else if (!strcmp(cli_text(flow, "reason"), "policy-denied")) {
		pk_str_addf(line, ", no rule (%s)", cli_text(flow, "tier"));
	}
	if (*cli_text(flow, "audit"))
		pk_str_addf(line, ", audit: %s", cli_text(flow, "audit"));
}

static void print_flow(const struct cli *cli, const struct pk_json *flow)
{
	const char *time = cli_text(flow, "time");
	const char *color = verdict_color(flow);
	own_str line = { 0 };

	pk_str_addf(&line, "%-12.12s  ", strlen(time) > 11 ? time + 11 : time);
	put_side(&line, cli, cli_member(flow, "source"));
	pk_str_add(&line, "-> ");
	put_side(&line, cli, cli_member(flow, "destination"));
	pk_str_addf(&line, "%-6s %s%-8s%s ", cli_text(flow, "protocol"), cli_color(cli, color),
		    cli_text(flow, "verdict"), color ? cli_color(cli, CLI_PLAIN) : "");
	put_rule(&line, flow);
	puts(line.text);
}

static void print_lost(const struct pk_json *flow)
{
	fprintf(stderr, "-- %.0f events lost (%s)\n", pk_json_number(pk_json_get(flow, "lostEvents")),
		cli_text(flow, "cause"));
}

static int take_line(void *arg, char *text, size_t len)
{
	struct reader *reader = arg;
	own_json *doc = NULL;
	const struct pk_json *flow;

	if (!len || pk_json_parse("flow", text, len, PK_JSON_RELAXED, &doc, NULL) < 0)
		return 0;	/* a keep-alive, or a line cut by picketd's end */
	flow = pk_json_root(doc);
	if (pk_json_get(flow, "lostEvents")) {
		if (reader->cli->json || reader->cli->jsonl)
			puts(text);
		else
			print_lost(flow);
		return 0;
	}
	if (!wanted(reader->cli, flow))
		return 0;
	reader->shown++;
	if (reader->cli->quiet)
		return -ECANCELED;	/* one is the answer */
	if (reader->cli->json || reader->cli->jsonl)
		puts(text);
	else
		print_flow(reader->cli, flow);
	return fflush(stdout) ? -EPIPE : 0;
}

static bool filtering(const struct cli *cli)
{
	for (size_t f = 0; f < PK_ARRAY_LEN(filters); f++)
		if (cli_has(cli, filters[f].option))
			return true;
	return false;
}

static int check_values(const struct cli *cli)
{
	struct pk_prefix prefix;
	uint64_t number;

	for (size_t f = 0; f < PK_ARRAY_LEN(filters); f++) {
		const char *value;

		for (size_t n = 0; (value = cli_nth(cli, filters[f].option, n)); n++) {
			if (filters[f].what == IP && pk_prefix_parse(value, &prefix) < 0)
				return cli_usage(cli, "\"%s\" is no address or prefix", value);
			if (filters[f].what == PORT && pk_parse_u64(value, 65535, &number) < 0)
				return cli_usage(cli, "\"%s\" is no port", value);
		}
	}
	if (cli_get(cli, "last") && pk_parse_u64(cli_get(cli, "last"), 4096, &number) < 0)
		return cli_usage(cli, "-last \"%s\" is not 0 to 4096", cli_get(cli, "last"));
	return CLI_OK;
}

static int flows(struct cli *cli)
{
	struct reader reader = { .cli = cli };
	struct pk_ctl_answer answer = { 0 };
	struct pk_err err = { 0 };
	const char *last = cli_get(cli, "last");
	char path[64];
	int r = check_values(cli);

	if (r)
		return r;
	/* With a filter the last N are those that pass it: ask for all that is kept. */
	if (!last)
		last = filtering(cli) ? KEPT : "20";
	snprintf(path, sizeof(path), "/v1/flows?last=%s%s", last,
		 cli_has(cli, "follow") ? "&follow=1" : "");
	struct pk_ctl_request request = { .socket = cli->socket, .method = "GET", .path = path,
					  .cap = LINE_MAX_BYTES, .line = take_line,
					  .arg = &reader };
	r = pk_ctl_ok(&request, &answer, &err);
	pk_ctl_answer_done(&answer);
	if (r < 0 && r != -EPIPE && r != -ECANCELED) {
		pk_fix(&err, r, "flows come from picketd: start it; older ones are in flows.jsonl");
		return cli_fail(cli, &err, CLI_CANNOT);
	}
	return cli->quiet && !reader.shown ? CLI_NO : CLI_OK;
}

static const struct cli_option options[] = {
	{ "follow", NULL, "go on with what happens", 'f' },
	{ "last", "N", "so many of the past (default 20)", 0 },
	{ "ip", "ADDR", "either side's address or prefix; also -from-ip, -to-ip", 0 },
	{ "from-ip", "ADDR", "the source's", 0 },
	{ "to-ip", "ADDR", "the destination's", 0 },
	{ "port", "N", "either side's port; also -from-port, -to-port", 0 },
	{ "from-port", "N", "the source's", 0 },
	{ "to-port", "N", "the destination's", 0 },
	{ "namespace", "NAME", "either side's; also -from-namespace, -to-namespace", 0 },
	{ "from-namespace", "NAME", "the source's", 0 },
	{ "to-namespace", "NAME", "the destination's", 0 },
	{ "job", "NAME", "either side's; also -from-job, -to-job", 0 },
	{ "from-job", "NAME", "the source's", 0 },
	{ "to-job", "NAME", "the destination's", 0 },
	{ "group", "NAME", "either side's", 0 },
	{ "alloc", "ID", "either side's, a prefix is enough", 0 },
	{ "label", "K=V", "either side's; also -from-label, -to-label", 0 },
	{ "from-label", "K=V", "the source's", 0 },
	{ "to-label", "K=V", "the destination's", 0 },
	{ "verdict", "WORD", "denied, allowed, revoked", 0 },
	{ "reason", "NAME", "as docs/datapath.md lists them", 0 },
	{ "protocol", "NAME", "tcp, udp, icmp, icmpv6, …", 0 },
	{ "direction", "WORD", "egress, ingress", 0 },
	{ "policy", "NAME", "decided by this document", 0 },
	{ "numeric", NULL, "addresses, no names", 0 },
	{ "4", NULL, "IPv4 only", 0 },
	{ "6", NULL, "IPv6 only", 0 },
	{ 0 },
};
const struct cli_command cli_flows_commands[] = {
	{ "flows", NULL, NULL, "decisions of the data path, each with its rule", 0, 0, options,
	  flows },
	{ 0 },
};
