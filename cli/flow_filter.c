/* SPDX-License-Identifier: Apache-2.0 */
#include "flow_filter.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include "addr.h"
#include "out.h"
#include "own.h"
#include "reason.h"

enum side { EITHER, FROM, TO };
enum what { IP, PORT, TEXT, PREFIX, NUMBER, LABEL, MEMBER, RULE };

struct filter {
	const char *option, *arg, *help;
	enum what what;
	enum side side;
	const char *member;
};

#define THREE(name, arg, what, member, help)                                                       \
	{ name, arg, "either side's " help, what, EITHER, member },                                \
		{ "from-" name, arg, "the source's " help, what, FROM, member },                   \
	{                                                                                          \
		"to-" name, arg, "the destination's " help, what, TO, member                       \
	}

static const struct filter filters[] = {
	THREE("ip", "ADDR", IP, "ip", "address or prefix"),
	THREE("port", "N", PORT, "port", "port"),
	THREE("namespace", "NAME", TEXT, "namespace", "Nomad namespace"),
	THREE("job", "NAME", TEXT, "job", "job"),
	THREE("group", "NAME", TEXT, "group", "task group"),
	THREE("alloc", "ID", PREFIX, "alloc", "allocation, a prefix is enough"),
	THREE("label", "K=V", LABEL, "labels", "label"),
	THREE("identity", "N", NUMBER, "identity", "identity"),
	{ "verdict", "WORD", "denied, allowed, revoked, closed", MEMBER, EITHER, "verdict" },
	{ "reason", "NAME", "reason, like policy-denied", MEMBER, EITHER, "reason" },
	{ "protocol", "NAME", "tcp, udp, icmp, icmpv6", MEMBER, EITHER, "protocol" },
	{ "direction", "WORD", "egress, ingress", MEMBER, EITHER, "direction" },
	{ "policy", "SOURCE/NAME", "decided by this document", MEMBER, EITHER, "policy" },
	{ "rule", "N", "decided by the rule of this number", RULE, EITHER, "rule.number" },
	{ "node", "NAME", "seen by this node", MEMBER, EITHER, "node" },
};

size_t flow_filter_options(struct cli_option *options, size_t n)
{
	for (size_t i = 0; i < PK_ARRAY_LEN(filters); i++)
		options[n++] = (struct cli_option){ .name = filters[i].option,
						    .arg = filters[i].arg,
						    .help = filters[i].help };
	return n;
}

static const struct filter *filter_of(const char *option)
{
	for (size_t i = 0; i < PK_ARRAY_LEN(filters); i++)
		if (!strcmp(filters[i].option, option))
			return &filters[i];
	return NULL;
}

static bool is_verdict(const char *word)
{
	static const char *const words[] = { "denied", "allowed", "revoked", "closed" };

	for (size_t i = 0; i < PK_ARRAY_LEN(words); i++)
		if (!strcmp(word, words[i]))
			return true;
	return false;
}

static int check_value(const struct cli *cli, const struct filter *f, const char *value)
{
	struct pk_prefix prefix;
	uint64_t number;

	if (f->what == IP && pk_prefix_parse(value, &prefix) < 0)
		return cli_usage(cli, "-%s: \"%s\" is no address or prefix", f->option, value);
	if (strcmp(f->option, "verdict") == 0 && !is_verdict(value))
		return cli_usage(cli, "-verdict \"%s\" is none of denied, allowed, revoked, closed",
				 value);
	if (strcmp(f->option, "reason") == 0 && pk_reason_parse(value) < 0)
		return cli_usage(cli, "-reason: none is called \"%s\"; picket reasons lists them",
				 value);
	if (f->what == PORT && pk_parse_u64(value, 65535, &number) < 0)
		return cli_usage(cli, "-%s: \"%s\" is no port", f->option, value);
	if ((f->what == NUMBER || f->what == RULE) && pk_parse_u64(value, UINT32_MAX, &number) < 0)
		return cli_usage(cli, "-%s: \"%s\" is no number", f->option, value);
	return CLI_OK;
}

int flow_filter_check(const struct cli *cli)
{
	bool negated = false;

	for (size_t i = 0; i < cli->n_values; i++) {
		const struct filter *f = filter_of(cli->values[i].option->name);
		int r = f ? check_value(cli, f, cli->values[i].value) : CLI_OK;

		if (r)
			return r;
		if (negated && !f)
			return cli_usage(cli, "-not stands before a filter, not before -%s",
					 cli->values[i].option->name);
		negated = !strcmp(cli->values[i].option->name, "not");
	}
	return negated ? cli_usage(cli, "-not stands before a filter") : CLI_OK;
}

static bool ip_is(const struct pk_json *side, const char *value)
{
	struct pk_prefix prefix;
	union pk_addr addr;

	return pk_prefix_parse(value, &prefix) == 0 &&
	       pk_addr_parse(cli_text(side, "ip"), &addr) == 0 && pk_prefix_has(&prefix, &addr);
}

static bool number_is(const struct pk_json *v, const char *value)
{
	uint64_t number;

	return v && pk_json_type(v) == PK_JSON_NUMBER &&
	       pk_parse_u64(value, UINT32_MAX, &number) == 0 && pk_json_number(v) == (double)number;
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

static bool side_is(const struct filter *f, const struct pk_json *side, const char *value)
{
	if (!side)
		return false;
	switch (f->what) {
	case IP:
		return ip_is(side, value);
	case LABEL:
		return has_label(side, value);
	case PREFIX:
		return !strncmp(cli_text(side, f->member), value, strlen(value));
	case PORT:
	case NUMBER:
		return number_is(cli_member(side, f->member), value);
	case TEXT:
		return !strcmp(cli_text(side, f->member), value);
	case MEMBER:
	case RULE:
		break;
	}
	return false;
}

static bool matches(const struct filter *f, const struct pk_json *flow, const char *value)
{
	if (f->what == MEMBER)
		return !strcmp(cli_text(flow, f->member), value);
	if (f->what == RULE)
		return number_is(cli_member(flow, f->member), value);
	return (f->side != TO && side_is(f, cli_member(flow, "source"), value)) ||
	       (f->side != FROM && side_is(f, cli_member(flow, "destination"), value));
}

static bool family_is(const struct cli *cli, const struct pk_json *flow)
{
	bool four = cli_has(cli, "4"), six = cli_has(cli, "6");
	bool v6 = strchr(cli_text(flow, "source.ip"), ':') != NULL;

	return four == six || six == v6;
}

int flow_time_parse(const char *text, double now, double *out)
{
	struct tm tm = { 0 };
	double seconds, part = 0;
	const char *end;
	int digits = 0, used = 0;

	if (cli_duration(text, &seconds) == 0) {
		*out = now - seconds;
		return 0;
	}
	end = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
	if (!end)
		return -EINVAL;
	if (*end == '.')
		for (double unit = 0.1; end[1] >= '0' && end[1] <= '9' && digits < 9;
		     end++, digits++, unit /= 10)
			part += unit * (end[1] - '0');
	if (digits)
		end++;
	*out = (double)timegm(&tm) + part;
	if (!strcmp(end, "Z"))
		return 0;
	int hours, minutes;

	if ((*end != '+' && *end != '-') ||
	    sscanf(end + 1, "%2d:%2d%n", &hours, &minutes, &used) != 2 || end[1 + used])
		return -EINVAL;
	*out -= (*end == '+' ? 1 : -1) * (hours * 3600.0 + minutes * 60.0);
	return 0;
}

static bool time_is(const struct cli *cli, const struct pk_json *flow)
{
	double now = (double)time(NULL), at, edge;

	if (!cli_has(cli, "since") && !cli_has(cli, "until"))
		return true;
	if (flow_time_parse(cli_text(flow, "time"), now, &at) < 0)
		return false;
	if (cli_has(cli, "since") &&
	    (flow_time_parse(cli_get(cli, "since"), now, &edge) < 0 || at < edge))
		return false;
	return !cli_has(cli, "until") ||
	       (flow_time_parse(cli_get(cli, "until"), now, &edge) == 0 && at <= edge);
}

/* Returns whether one option's values hold: any of the plain ones, none of those behind -not. */
static bool holds(const struct cli *cli, const struct filter *f, const struct pk_json *flow)
{
	bool asked = false, any = false;

	for (size_t i = 0; i < cli->n_values; i++) {
		bool negated = i && !strcmp(cli->values[i - 1].option->name, "not"), hit;

		if (strcmp(cli->values[i].option->name, f->option))
			continue;
		hit = matches(f, flow, cli->values[i].value);
		if (negated && hit)
			return false;
		asked |= !negated;
		any |= !negated && hit;
	}
	return any || !asked;
}

bool flow_filter_match(const struct cli *cli, const struct pk_json *flow)
{
	for (size_t i = 0; i < PK_ARRAY_LEN(filters); i++)
		if (!holds(cli, &filters[i], flow))
			return false;
	return family_is(cli, flow) && time_is(cli, flow);
}
