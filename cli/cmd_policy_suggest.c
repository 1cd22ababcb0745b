/* SPDX-License-Identifier: Apache-2.0 */
/*
 * picket policy suggest: the smallest policies for the flows seen: those that picketd remembers and
 * those that are live now, or a flows file's.
 */
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "addr.h"
#include "ctl.h"
#include "layout.h"
#include "fs.h"
#include "own.h"
#include "policy_ask.h"
#include "policy_files.h"
#include "suggest.h"
#include "cli_world.h"

struct taking {
	struct pk_suggest *s;
	bool denied;
	size_t bad;
};

static int take_line(void *arg, char *line, size_t len)
{
	struct taking *t = arg;
	own_json *doc = NULL;

	if (!len)
		return 0;
	if (pk_json_parse("flow", line, len, PK_JSON_RELAXED, &doc, NULL) < 0)
		t->bad++;
	else
		pk_suggest_add(t->s, pk_json_root(doc), t->denied);
	return 0;
}

/* The file is read line by line: it may be larger than memory. */
static int read_file(struct taking *t, const char *path, struct pk_err *err)
{
	own_file FILE *file = strcmp(path, "-") ? fopen(path, "re") : fdopen(dup(0), "r");
	own_mem char *line = NULL;
	size_t room = 0;
	ssize_t n;

	if (!file)
		return cli_file_fix(err, pk_fail(err, errno, "open %s", path));
	while ((n = getline(&line, &room, file)) > 0) {
		line[strcspn(line, "\n")] = '\0';
		take_line(t, line, strlen(line));
	}
	return ferror(file) ? pk_fail(err, errno, "read %s", path) : 0;
}

static int read_events(const struct cli *cli, struct taking *t, struct pk_err *err)
{
	const struct pk_ctl_request request = { .socket = cli->socket,
						.method = "GET",
						.path = "/v1/flows?last=1024",
						.line = take_line,
						.arg = t,
						.deadline_ns = pk_now_ns() + 10000000000ull };
	PK_OWN(pk_ctl_answer_done) struct pk_ctl_answer answer = { 0 };

	return pk_ctl_ok(&request, &answer, err);
}

struct naming {
	struct taking *t;
	const struct pk_json *endpoints;
	const struct pk_bpf *bpf;
};

static const struct pk_json *endpoint_at(const struct naming *naming, const char *addr)
{
	for (const struct pk_json *e = pk_json_first(naming->endpoints); e; e = pk_json_next(e)) {
		const struct pk_json *list = pk_json_get(e, "addresses");

		for (const struct pk_json *a = list ? pk_json_first(list) : NULL; a;
		     a = pk_json_next(a))
			if (pk_json_string(a) && strcmp(pk_json_string(a), addr) == 0)
				return e;
	}
	return NULL;
}

/* Returns the value of the endpoint's label of that key; NULL: it has none, or several. */
static const char *label_of(const struct pk_json *endpoint, const char *key)
{
	const struct pk_json *labels = pk_json_get(endpoint, "labels");
	const struct pk_json *value = labels ? pk_json_get(labels, key) : NULL;

	return value ? pk_json_string(value) : NULL;
}

/* Writes a side in the form of GET /v1/flows. */
static void put_side(const struct naming *naming, struct pk_jw *w, const char *key,
		     const struct pk_plan_flow *f, int end)
{
	static const char *const party[] = { [PK_PARTY_NONE] = "unknown",
					     [PK_PARTY_ENDPOINT] = "unknown",
					     [PK_PARTY_UNKNOWN] = "unknown",
					     [PK_PARTY_REMOTE_NODE] = "remote-node",
					     [PK_PARTY_WORLD] = "world" };
	char text[PK_ADDR_TEXT];
	const struct pk_json *e = endpoint_at(naming, pk_addr_format(&f->addr[end], text));
	struct pk_query who = { 0 };

	pk_jw_open(w, key, '{');
	if (e) {
		pk_jw_string(w, "namespace", label_of(e, "nomad:namespace"));
		pk_jw_string(w, "job", label_of(e, "nomad:job"));
	} else {
		pk_live_who(naming->bpf, &f->addr[end], &who);
		pk_jw_string(w, "name", f->host[end] ? "host" : party[who.party]);
	}
	pk_jw_string(w, "ip", text);
	if (end == 1 && f->proto != IPPROTO_ICMP && f->proto != IPPROTO_ICMPV6)
		pk_jw_uint(w, "port", f->port);
	pk_jw_close(w, '}');
}

static void take_live(const struct naming *naming, const struct pk_plan_flow *f)
{
	const char *protocol = pk_proto_word(f->proto);
	own_str text = { 0 };
	struct pk_jw w = { .out = &text };

	if (!protocol)
		return;
	pk_jw_open(&w, NULL, '{');
	pk_jw_string(&w, "verdict", "allowed");
	pk_jw_string(&w, "protocol", protocol);
	put_side(naming, &w, "source", f, 0);
	put_side(naming, &w, "destination", f, 1);
	if (f->proto == IPPROTO_ICMP || f->proto == IPPROTO_ICMPV6)
		pk_jw_uint(&w, "icmpType", f->port >> 8);
	pk_jw_close(&w, '}');
	take_line(naming->t, text.text, text.len);
}

/*
 * Reads the live connections too: picketd remembers denials alone unless it is told to keep more.
 */
static int read_connections(const struct cli *cli, struct taking *t, struct pk_err *err)
{
	PK_OWN(cli_flows_done) struct cli_flows flows = { 0 };
	struct naming naming = { .t = t };
	own_bpf *bpf = NULL;
	own_live *live = NULL;
	own_json *doc = NULL;
	int r = cli_live_open(cli, &bpf, &live, err);

	if (r == 0)
		r = cli_flows_live(live, &flows, err);
	if (r == 0)
		r = cli_api(cli, "/v1/world?others=1", &doc, err);
	if (r < 0)
		return r;
	naming.bpf = bpf;
	naming.endpoints = pk_json_get(pk_json_root(doc), "endpoints");
	cli_flows_unique(&flows);
	for (size_t i = 0; naming.endpoints && i < flows.n; i++)
		take_live(&naming, &flows.list[i]);
	return 0;
}

static int read_node(const struct cli *cli, struct taking *t, struct pk_err *err)
{
	struct pk_err why = { 0 };
	int r = read_events(cli, t, err);

	if (r == 0 && read_connections(cli, t, &why) < 0) {
		own_str text = { 0 };

		pk_str_add_escaped(&text, why.text);
		fprintf(stderr, "picket policy: live connections are not among them: %s\n",
			text.text);
	}
	return r;
}

/* Writes the document as picket policy fmt would lay it out. */
static void document_text(const struct pk_suggest *s, size_t i, struct pk_str *out)
{
	own_str text = { 0 };
	struct pk_jw w = { .out = &text };
	struct pk_json_fault fault = { 0 };

	pk_suggest_write(s, i, &w);
	if (pk_layout("suggested", text.text, text.len, out, &fault) < 0)
		pk_str_add(out, text.text); /* too large for a document: validate will say so */
}

static int write_files(const struct cli *cli, const struct pk_suggest *s, size_t n, const char *dir)
{
	struct pk_err err = { 0 };

	if (pk_fs_mkdirs(dir, 0755, &err) < 0)
		return cli_fail(cli, &err, CLI_CANNOT);
	for (size_t i = 0; i < n; i++) {
		own_str text = { 0 }, name = { 0 };

		document_text(s, i, &text);
		pk_suggest_name(s, i, &name);
		if (cli_write_new(cli, dir, name.text, text.text, &err) < 0)
			return cli_fail(cli, &err, CLI_CANNOT);
	}
	return CLI_OK;
}

static void print_array(const struct cli *cli, const struct pk_suggest *s, size_t n)
{
	own_str out = { 0 };
	struct pk_jw w = { .out = &out, .indent = 4 };

	for (size_t i = 0; i < n && cli->jsonl; i++) {
		struct pk_jw line = { .out = &out };

		pk_suggest_write(s, i, &line);
		pk_str_add(&out, "\n");
	}
	if (!cli->jsonl) {
		pk_jw_open(&w, NULL, '[');
		for (size_t i = 0; i < n; i++)
			pk_suggest_write(s, i, &w);
		pk_jw_close(&w, ']');
		pk_str_add(&out, "\n");
	}
	fputs(out.text ? out.text : "", stdout);
}

static int print(struct cli *cli, const struct pk_suggest *s, size_t n)
{
	const char *dir = cli_get(cli, "dir");
	own_str out = { 0 };

	if (cli->quiet)
		return CLI_OK;
	if (dir)
		return write_files(cli, s, n, dir);
	if (cli->json || cli->jsonl) {
		print_array(cli, s, n);
		return CLI_OK;
	}
	if (n > 1)
		return cli_usage(cli,
				 "%zu documents: say -dir DIR where to put them, or -namespace", n);
	if (n)
		document_text(s, 0, &out);
	fputs(out.text ? out.text : "", stdout);
	return CLI_OK;
}

static void say(const struct cli *cli, const struct taking *t, size_t n)
{
	if (t->bad)
		fprintf(stderr, "picket policy: %zu lines were no JSON, ignoring them\n", t->bad);
	if (pk_suggest_skipped(t->s))
		fprintf(stderr,
			"picket policy: %zu sides of flows left out: nobody knows their job\n",
			pk_suggest_skipped(t->s));
	if (!n)
		fprintf(stderr,
			"picket policy: no %s flow was seen\nfix: let picketd keep allowed flows: "
			"\"flows\": { \"allowed\": \"new\" } in %s\n",
			t->denied ? "allowed or denied" : "allowed", cli->paths.config);
}

int cli_suggest(struct cli *cli)
{
	const char *path = cli_get(cli, "flows");
	struct taking t = { .s = pk_suggest_new(cli_get(cli, "namespace")),
			    .denied = cli_has(cli, "denied") };
	struct pk_err err = { 0 };
	size_t n = 0;
	int r = path ? read_file(&t, path, &err) : read_node(cli, &t, &err), status;

	if (r < 0) {
		pk_suggest_free(t.s);
		return cli_fail(cli, &err, CLI_CANNOT);
	}
	n = pk_suggest_finish(t.s);
	if (!cli->quiet)
		say(cli, &t, n);
	status = print(cli, t.s, n);
	pk_suggest_free(t.s);
	return status == CLI_OK && !n ? CLI_NO : status;
}
