/* SPDX-License-Identifier: Apache-2.0 */
/* picket flows: one line a decision, with the rule or the absence of one. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli.h"
#include "ctl.h"
#include "flow_files.h"
#include "flow_filter.h"
#include "out.h"
#include "own.h"

#define LINE_MAX_BYTES (256u << 10)
#define KEPT	       1024 /* lines that picketd keeps */

struct reader {
	const struct cli *cli;
	size_t shown;
	/*
	 * The last `room` lines that passed, the oldest at index `at`. NULL: lines are shown as
	 * they come.
	 */
	char **kept;
	size_t room, at;
};

/*
 * A line is time, two sides, protocol, verdict, then reason and rule. On a terminal that is too
 * narrow for all of it the sides give way first, then reason and rule stand on a line of their own.
 */
#define SIDE_WIDE   28
#define SIDE_NARROW 16
#define BESIDES	    (14 + 1 + 3 + 1 + 7 + 9) /* columns of what is neither side nor reason */
#define REASON_ROOM 40

static bool is_narrow(const struct cli *cli)
{
	return cli->width && cli->width < BESIDES + 2 * SIDE_WIDE + REASON_ROOM;
}

static size_t side_room(const struct cli *cli)
{
	int room = is_narrow(cli) ? (cli->width - BESIDES) / 2 : SIDE_WIDE;

	if (room < SIDE_NARROW)
		return SIDE_NARROW;
	return (size_t)(room > SIDE_WIDE ? SIDE_WIDE : room);
}

#define REASON_HANG 14 /* where reason and rule stand on a line of their own */

/* Goes to where reason and rule stand; returns that column. */
static size_t go_to_reason(const struct cli *cli)
{
	if (!is_narrow(cli))
		return BESIDES + 2 * SIDE_WIDE;
	printf("\n%*s", REASON_HANG, "");
	return REASON_HANG;
}

static void pad(struct pk_str *line, size_t have, size_t room)
{
	pk_str_addf(line, "%*s", (int)(have < room ? room - have : 0), "");
}

static void put_side(struct pk_str *line, const struct cli *cli, const struct pk_json *side)
{
	const char *name = cli_text(side, "name"), *ip = cli_text(side, "ip");
	int port = (int)pk_json_number(cli_member(side, "port"));
	int identity = (int)pk_json_number(cli_member(side, "identity"));
	bool numeric = cli_has(cli, "numeric") || !*name || !strcmp(name, "world") ||
		       !strcmp(name, "unknown");
	own_str text = { 0 }, cut = { 0 };

	pk_str_add_escaped(&text, numeric ? ip : name);
	if (!text.len && identity)
		pk_str_addf(&text, "identity %d", identity);
	if (port)
		pk_str_addf(&text, ":%d", port);
	if (cli->width)
		cli_cut(cli, &cut, text.text ? text.text : "-", side_room(cli));
	else
		pk_str_add(&cut, text.text ? text.text : "-");
	pk_str_add(line, cut.text);
	pad(line, cli_width(cut.text), side_room(cli));
	pk_str_add(line, " ");
}

static bool is_closed(const struct pk_json *flow)
{
	return !strcmp(cli_text(flow, "verdict"), "closed");
}

static const char *verdict_color(const struct pk_json *flow)
{
	if (is_closed(flow) && !strcmp(cli_text(flow, "reason"), "ok"))
		return NULL;
	if (!strcmp(cli_text(flow, "verdict"), "allowed"))
		return *cli_text(flow, "audit") ? CLI_YELLOW : NULL;
	return CLI_RED;
}

static void put_sent(struct pk_str *line, const struct pk_json *flow, const char *bytes,
		     const char *packets)
{
	pk_str_addf(line, "%.0f bytes in %.0f", pk_json_number(cli_member(flow, bytes)),
		    pk_json_number(cli_member(flow, packets)));
}

/* Writes how a flow ended, how long it lived, and what each side sent, the source first. */
static void put_end(struct pk_str *line, const struct pk_json *flow)
{
	pk_str_add_escaped(line, cli_text(flow, "end"));
	pk_str_addf(line, " after %.0f s, ", pk_json_number(cli_member(flow, "seconds")));
	put_sent(line, flow, "bytes", "packets");
	pk_str_add(line, ", back ");
	put_sent(line, flow, "replyBytes", "replyPackets");
	pk_str_add(line, "; ");
}

static void put_rule(struct pk_str *line, const struct pk_json *flow)
{
	if (is_closed(flow))
		put_end(line, flow);
	pk_str_addf(line, "%s %s", cli_text(flow, "reason"), cli_text(flow, "direction"));
	if (*cli_text(flow, "policy")) {
		pk_str_add(line, ", ");
		pk_str_add_escaped(line, cli_text(flow, "policy"));
		if (*cli_text(flow, "rule.description")) {
			pk_str_add(line, " \"");
			pk_str_add_escaped(line, cli_text(flow, "rule.description"));
			pk_str_add(line, "\"");
		}
	} else if (*cli_text(flow, "rule.description")) { /* the built-in baseline's */
		pk_str_addf(line, ", %s", cli_text(flow, "rule.description"));
	} else if (!strcmp(cli_text(flow, "reason"), "policy-denied")) {
		pk_str_addf(line, ", no rule (%s", cli_text(flow, "tier"));
		if (*cli_text(flow, "defaultDenyBy")) {
			pk_str_add(line, ", closed by ");
			pk_str_add_escaped(line, cli_text(flow, "defaultDenyBy"));
		}
		pk_str_add(line, ")");
	}
	if (*cli_text(flow, "audit"))
		pk_str_addf(line, ", audit: %s", cli_text(flow, "audit"));
}

/* Local time of day, to the millisecond; as it stands where it can't be read. */
static void put_time(struct pk_str *line, const char *text)
{
	double at;
	struct tm tm;
	time_t second;

	if (flow_time_parse(text, 0, &at) < 0 || !strchr(text, 'T')) {
		pk_str_add_escaped(line, text);
		pk_str_add(line, "  ");
		return;
	}
	second = (time_t)at;
	localtime_r(&second, &tm);
	pk_str_addf(line, "%02d:%02d:%02d.%03d  ", tm.tm_hour, tm.tm_min, tm.tm_sec,
		    (int)((at - (double)second) * 1000 + 0.5) % 1000);
}

static void print_flow(const struct cli *cli, const struct pk_json *flow)
{
	const char *color = verdict_color(flow);
	own_str line = { 0 }, reason = { 0 };
	size_t at;

	put_time(&line, cli_text(flow, "time"));
	put_side(&line, cli, cli_member(flow, "source"));
	pk_str_add(&line, "-> ");
	put_side(&line, cli, cli_member(flow, "destination"));
	pk_str_addf(&line, "%-6s %s%-*s%s", cli_text(flow, "protocol"), cli_color(cli, color),
		    is_narrow(cli) ? 0 : 9, cli_text(flow, "verdict"),
		    color ? cli_color(cli, CLI_PLAIN) : "");
	fputs(line.text, stdout);
	put_rule(&reason, flow);
	at = go_to_reason(cli);
	cli_wrap(stdout, reason.text, at, at, (size_t)cli->width);
	putchar('\n');
}

static void print_header(const struct cli *cli)
{
	int room = (int)side_room(cli);

	printf("%s%-12s  %-*s    %-*s %-6s %-*s", cli_color(cli, CLI_BOLD), "Time", room, "Source",
	       room, "Destination", "Proto", is_narrow(cli) ? 0 : 9, "Verdict");
	go_to_reason(cli);
	printf("Reason, rule%s\n", cli_color(cli, CLI_PLAIN));
}

static void print_lost(const struct pk_json *flow)
{
	own_str cause = { 0 };

	pk_str_add_escaped(&cause, cli_text(flow, "cause"));
	fprintf(stderr, "-- %.0f events lost (%s)\n",
		pk_json_number(pk_json_get(flow, "lostEvents")), cause.text ? cause.text : "");
}

static int show(struct reader *reader, const char *text, const struct pk_json *flow)
{
	if (reader->cli->quiet) {
		reader->shown++;
		return -ECANCELED; /* one line is the whole answer */
	}
	if (!reader->shown++ && !reader->cli->json && !reader->cli->jsonl)
		print_header(reader->cli);
	if (reader->cli->json || reader->cli->jsonl)
		puts(text);
	else
		print_flow(reader->cli, flow);
	return fflush(stdout) ? -EPIPE : 0;
}

static void keep(struct reader *reader, const char *text)
{
	char **kept = &reader->kept[reader->at++ % reader->room];

	free(*kept);
	*kept = pk_strdup(text);
}

static int show_kept(struct reader *reader, int r);

static int take_line(void *arg, char *text, size_t len)
{
	struct reader *reader = arg;
	own_json *doc = NULL;
	const struct pk_json *flow;

	if (!len)
		return show_kept(reader, 0); /* with -follow this line ends the past */
	if (pk_json_parse("flow", text, len, PK_JSON_RELAXED, &doc, NULL) < 0)
		return 0; /* a last line that picketd's end has cut */
	flow = pk_json_root(doc);
	if (pk_json_get(flow, "lostEvents")) {
		if (reader->cli->json || reader->cli->jsonl)
			puts(text);
		else
			print_lost(flow);
		return 0;
	}
	if (!flow_filter_match(reader->cli, flow))
		return 0;
	if (!reader->kept || reader->cli->quiet)
		return show(reader, text, flow);
	keep(reader, text);
	return 0;
}

/*
 * Shows the kept lines, oldest first, and forgets them; shows none where reading them ended with r.
 */
static int show_kept(struct reader *reader, int r)
{
	for (size_t i = 0; reader->kept && i < reader->room; i++) {
		char *text = reader->kept[(reader->at + i) % reader->room];
		own_json *doc = NULL;

		if (text && r == 0 &&
		    pk_json_parse("flow", text, strlen(text), PK_JSON_RELAXED, &doc, NULL) == 0)
			r = show(reader, text, pk_json_root(doc));
		free(text);
	}
	free(reader->kept);
	reader->kept = NULL;
	return r;
}

/* The flows files stand in for picketd; they have the denials unless configured otherwise. */
static int read_files(struct reader *reader, struct pk_err *err)
{
	char path[PK_PATH_ROOM];
	int r = flow_files_path(reader->cli, path, err);

	if (r < 0)
		return r;
	if (!*path)
		return pk_fail(err, ENOENT, "picketd doesn't answer, and there is no flows file");
	fprintf(stderr, "picket: picketd doesn't answer; this is from %s (offline)\n", path);
	return flow_files_read(path, take_line, reader, err);
}

/* Lines that picketd keeps, shown after the earlier ones of the files. */
struct recent {
	char **list;
	size_t n, room;
	double first; /* the time of the oldest of them */
	struct reader *reader;
};

static void recent_done(struct recent *recent)
{
	for (size_t i = 0; i < recent->n; i++)
		free(recent->list[i]);
	free(recent->list);
}

/* Returns whether the line has a time; a line about lost flows has one too. */
static bool time_of(const char *text, size_t len, double *at)
{
	own_json *doc = NULL;

	return pk_json_parse("flow", text, len, PK_JSON_RELAXED, &doc, NULL) == 0 &&
	       flow_time_parse(cli_text(pk_json_root(doc), "time"), 0, at) == 0;
}

static int collect(void *arg, char *text, size_t len)
{
	struct recent *recent = arg;
	double at;

	if (!len || !time_of(text, len, &at))
		return 0;
	if (!recent->n || at < recent->first)
		recent->first = at;
	if (recent->n == recent->room) {
		recent->room = recent->room ? 2 * recent->room : 256;
		recent->list = realloc(recent->list, recent->room * sizeof(char *));
		if (!recent->list)
			abort();
	}
	recent->list[recent->n++] = pk_strdup(text);
	return 0;
}

/* A line of the files that picketd keeps too is shown once, with those. */
static int take_older(void *arg, char *text, size_t len)
{
	const struct recent *recent = arg;
	double at;

	if (recent->n) {
		if (!time_of(text, len, &at) || at > recent->first)
			return 0;
		for (size_t i = 0; at >= recent->first && i < recent->n; i++)
			if (strcmp(recent->list[i], text) == 0)
				return 0;
	}
	return take_line(recent->reader, text, len);
}

static int ask(const struct cli *cli, flow_line_fn *fn, void *arg, struct pk_err *err);

static void say_no_files(const struct recent *recent, const char *why)
{
	if (recent->n >= KEPT)
		fprintf(stderr,
			"picket: the last %d that picketd keeps; what was before is not shown: "
			"%s\n",
			KEPT, why);
}

/* Reads all lines since the given time: the files have what picketd no longer keeps. */
static int read_since(struct reader *reader, struct pk_err *err)
{
	PK_OWN(recent_done) struct recent recent = { .reader = reader };
	struct pk_err no_files = { 0 };
	char path[PK_PATH_ROOM] = "";
	int r = ask(reader->cli, collect, &recent, err);

	if (cli_no_daemon(r))
		return read_files(reader, err);
	if (r == 0)
		r = flow_files_path(reader->cli, path, err);
	if (r < 0)
		return r;
	if (*path)
		r = flow_files_read(path, take_older, &recent, &no_files);
	if (!*path || *no_files.text) {
		say_no_files(&recent, *path ? no_files.text : "\"flows.file\" is null");
		r = 0;
	}
	for (size_t i = 0; r == 0 && i < recent.n; i++)
		r = take_line(reader, recent.list[i], strlen(recent.list[i]));
	return r;
}

static int check_values(const struct cli *cli, uint64_t *last)
{
	static const char *const times[] = { "since", "until" };
	double seconds;

	for (size_t i = 0; i < PK_ARRAY_LEN(times); i++)
		if (cli_get(cli, times[i]) &&
		    flow_time_parse(cli_get(cli, times[i]), 0, &seconds) < 0)
			return cli_usage(cli, "-%s \"%s\" is neither 15m nor RFC 3339", times[i],
					 cli_get(cli, times[i]));
	*last = cli_has(cli, "since") ? KEPT : 20;
	if (cli_get(cli, "last") && (pk_parse_u64(cli_get(cli, "last"), KEPT, last) < 0 || !*last))
		return cli_usage(cli, "-last \"%s\" is not 1 to %d", cli_get(cli, "last"), KEPT);
	return flow_filter_check(cli);
}

static int ask(const struct cli *cli, flow_line_fn *fn, void *arg, struct pk_err *err)
{
	bool follow = cli_has(cli, "follow");
	struct pk_ctl_answer answer = { 0 };
	char path[64];
	struct pk_ctl_request request = { .socket = cli->socket,
					  .method = "GET",
					  .path = path,
					  .cap = LINE_MAX_BYTES,
					  .line = fn,
					  .arg = arg };
	int r;

	/* The last N are those that pass the filters: all that is kept is asked for. */
	snprintf(path, sizeof(path), "/v1/flows?last=%d%s", KEPT, follow ? "&follow=1" : "");
	r = pk_ctl_ok(&request, &answer, err);
	pk_ctl_answer_done(&answer);
	return r;
}

static int flows(struct cli *cli)
{
	struct reader reader = { .cli = cli };
	struct pk_err err = { 0 };
	uint64_t last = 0;
	int r = check_values(cli, &last);

	if (r)
		return r;
	if (cli_has(cli, "follow") || cli_has(cli, "last") || !cli_has(cli, "since")) {
		reader.room = last;
		reader.kept = pk_alloc(last * sizeof(char *));
	}
	if (cli_has(cli, "since") && !cli_has(cli, "follow"))
		r = read_since(&reader, &err);
	else
		r = ask(cli, take_line, &reader, &err);
	if (cli_no_daemon(r) && !cli_has(cli, "follow"))
		r = read_files(&reader, &err);
	r = show_kept(&reader, r);
	if (r < 0 && r != -EPIPE && r != -ECANCELED) {
		pk_fix(&err, r, "flows come from picketd: start it, or run this as root");
		return cli_fail(cli, &err, CLI_CANNOT);
	}
	if (!reader.shown && !cli->quiet && !cli->json && !cli->jsonl)
		fputs("nothing to show\n", stderr);
	return cli->quiet && !reader.shown ? CLI_NO : CLI_OK;
}

static const struct cli_option own_options[] = {
	{ "follow", NULL, "go on with what happens", 'f' },
	{ "last", "N", "so many of the past that pass the filters (default 20)", 0 },
	{ "since", "TIME", "15m (ago) or RFC 3339; with it the flows files are read, too", 0 },
	{ "until", "TIME", "the same", 0 },
	{ "not", NULL, "turns the next filter round", 0 },
	{ "numeric", NULL, "addresses, no names", 0 },
	{ "4", NULL, "IPv4 only", 0 },
	{ "6", NULL, "IPv6 only", 0 },
};
static struct cli_option options[FLOW_OPTIONS_MAX];

/* Copies the filters' options before main: their own table is the one place that names them. */
static void __attribute__((constructor)) fill_options(void)
{
	memcpy(options, own_options, sizeof(own_options));
	flow_filter_options(options, PK_ARRAY_LEN(own_options));
}

const struct cli_command cli_flows_commands[] = {
	{ "flows", NULL, NULL, "what the data path decided, each decision with its reason and rule",
	  0, 0, options, flows, false },
	{ 0 },
};
