/* SPDX-License-Identifier: Apache-2.0 */
/*
 * picket policy explain: would it pass, which rule decides, which ones lose; by the documents and
 * by the tables that the data path reads.
 */
#include <errno.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "explain.h"
#include "out.h"
#include "own.h"
#include "policy_ask.h"
#include "policy_files.h"

/* Returns whether the address is this namespace's, as the guard's route look-up would say. */
static bool is_own_address(const union pk_addr *addr)
{
	struct ifaddrs *list = NULL;
	union pk_addr own;
	bool found = false;

	if (getifaddrs(&list) < 0)
		return false;
	for (const struct ifaddrs *i = list; i && !found; i = i->ifa_next) {
		if (!i->ifa_addr)
			continue;
		if (i->ifa_addr->sa_family == AF_INET)
			own = pk_addr_from4(((struct sockaddr_in *)i->ifa_addr)->sin_addr.s_addr);
		else if (i->ifa_addr->sa_family == AF_INET6)
			memcpy(&own, &((struct sockaddr_in6 *)i->ifa_addr)->sin6_addr, sizeof(own));
		else
			continue;
		found = pk_addr_equal(&own, addr);
	}
	freeifaddrs(list);
	return found;
}

static bool in_pools(const struct pk_settings *settings, const union pk_addr *addr)
{
	for (size_t i = 0; i < settings->n_pools; i++)
		if (pk_prefix_has(&settings->pools[i], addr))
			return true;
	return false;
}

/* Finds the owner of a plain address, as the data path would. */
static bool by_address(const struct question *q, const struct pk_live *live,
		       const struct pk_bpf *bpf, const char *text, struct pk_peer *out)
{
	const struct pk_world *world = pk_asker_world(q->c->asker);
	struct pk_query who = { .party = PK_PARTY_WORLD };

	*out = (struct pk_peer){ .party = PK_PARTY_WORLD };
	if (pk_addr_parse(text, &out->address) < 0)
		return false;
	for (const struct pk_world_endpoint *ep = pk_world_next(world, NULL); ep;
	     ep = pk_world_next(world, ep))
		for (size_t i = 0; i < ep->n_addresses; i++)
			if (pk_addr_equal(&ep->addresses[i], &out->address)) {
				*out = (struct pk_peer){ .party = PK_PARTY_ENDPOINT,
							 .endpoint = ep };
				return true;
			}
	if (live)
		pk_live_who(bpf, &out->address, &who);
	if (q->wants_live && is_own_address(&out->address))
		out->party = PK_PARTY_HOST;
	else if (who.party == PK_PARTY_REMOTE_NODE)
		out->party = PK_PARTY_REMOTE_NODE;
	else if (who.party != PK_PARTY_WORLD || in_pools(&q->c->settings, &out->address))
		out->party = PK_PARTY_UNKNOWN;
	return true;
}

struct tables {
	struct pk_bpf *bpf;
	struct pk_live *live;
};

static void tables_done(struct tables *t)
{
	pk_live_close(t->live);
	pk_bpf_close(t->bpf);
}

static int find_peer(const struct question *q, const struct tables *t, const char *text,
		     const struct pk_world_endpoint *except, struct pk_peer *out,
		     struct pk_err *err)
{
	int r = pk_scenario_find(q->c, text, except, out, err);

	if (r != -ENOENT)
		return r;
	return by_address(q, t->live, t->bpf, text, out) ? 0
							 : pk_scenario_peer(q->c, text, out, err);
}

static const char *given(const struct cli *cli, const char *option, int arg)
{
	const char *value = cli_get(cli, option);

	if (value)
		return value;
	return arg < cli->argc ? cli->argv[arg] : NULL;
}

/* Takes the question's words, before anybody is asked for the world. */
static int read_words(const struct cli *cli, struct question *q, struct pk_err *err)
{
	const char *missing = NULL;

	q->names[0] = given(cli, "from", 0);
	q->names[1] = given(cli, "to", 1);
	if (!given(cli, "port", 2))
		missing = "the port";
	if (!q->names[1])
		missing = "to";
	if (!q->names[0])
		missing = "from";
	if (!missing)
		return 0;
	pk_fail(err, 0, "%s is missing", missing);
	return pk_fix(err, -EINVAL,
		      "picket policy explain acme/api acme/db 5432/tcp "
		      "(or icmp:echo-request)");
}

static int read_question(const struct cli *cli, const struct tables *t, struct question *q,
			 struct pk_err *err)
{
	const char *port = given(cli, "port", 2);
	struct pk_connection *c = &q->conn;
	int r;

	r = find_peer(q, t, q->names[0], NULL, &c->from, err);
	if (r == 0)
		r = find_peer(q, t, q->names[1], c->from.endpoint, &c->to, err);
	if (r < 0)
		return r;
	if (!pk_peer_is_local(&c->from) && !pk_peer_is_local(&c->to)) {
		pk_fail(err, 0, "neither side is an endpoint of this node: no policy is asked");
		return pk_fix(err, -EINVAL, "\"picket endpoint list\" has them");
	}
	if (strncmp(port, "icmpv6:", 7) == 0)
		return pk_scenario_icmp_of(port + 7, true, &c->proto, &c->port, err);
	if (strncmp(port, "icmp:", 5) == 0)
		return pk_scenario_icmp(port + 5, &c->from, &c->to, &c->proto, &c->port, err);
	return pk_scenario_port(port, &c->to, &c->proto, &c->port, err);
}

static int add_files(const struct cli *cli, struct pk_scenario *c, struct pk_err *err)
{
	own_str said = { 0 };
	const char *path;
	size_t index;
	int r = 0;

	for (size_t i = 0; r == 0 && (path = cli_nth(cli, "with", i)); i++)
		r = cli_file_fix(err, pk_scenario_replace_file(c, path, &index, &said, err));
	cli_notes(&said, err);
	return r;
}

/*
 * Judges one end by the tables. -ENOENT: it is closed, or its rule set isn't there; then nothing
 * passes.
 */
static int ask_live_side(struct question *q, const struct tables *t, int dir)
{
	const struct pk_question side = explain_side(q, dir);

	return pk_live_ask(t->live, &side, &q->live.side[dir], &q->no_live);
}

/* Asks the tables about both ends; q->no_live says why they can't be asked, or what they lack. */
static void ask_live(struct question *q, const struct tables *t)
{
	q->live = (struct pk_connection_verdict){ .verdict = PK_ALLOW, .audit = PK_ALLOW };
	for (int dir = 0; dir < 2; dir++) {
		const struct pk_verdict_value *v = &q->live.side[dir];
		int r;

		if (!q->reference.asked[dir])
			continue;
		r = ask_live_side(q, t, dir);
		if (r < 0 && r != -ENOENT)
			return;
		q->live.asked[dir] = true;
		if (v->live.verdict != PK_ALLOW)
			q->live.verdict = PK_DENY;
		if (v->audit.verdict != PK_ALLOW)
			q->live.audit = PK_DENY;
	}
	q->has_live = true;
}

static void say_one(const struct pk_json *endpoint, const char *what, const char *reason,
		    const char *fix)
{
	own_str line = { 0 };

	if (!*cli_text(endpoint, reason))
		return;
	pk_str_addf(&line, "  %s: ", what);
	pk_str_add_escaped(&line, cli_text(endpoint, reason));
	pk_str_add(&line, "; fix: ");
	pk_str_add_escaped(&line, cli_text(endpoint, fix));
	puts(line.text);
}

/*
 * Says why an end reaches nothing whatever its tenant's documents say, or hasn't the limits that
 * its job asks for, and what ends that.
 */
static void say_end(const struct cli *cli, const struct pk_peer *peer)
{
	own_str path = { 0 };
	own_json *doc = NULL;
	const char *id;

	if (!pk_peer_is_local(peer))
		return;
	id = strrchr(peer->endpoint->key, ' ');
	id = id ? id + 1 : peer->endpoint->key;
	pk_str_addf(&path, "/v1/endpoints/%.*s", (int)strcspn(id, "@"), id);
	if (cli_api(cli, path.text, &doc, NULL) < 0)
		return;
	say_one(pk_json_root(doc), "in quarantine", "quarantineReason", "quarantineFix");
	say_one(pk_json_root(doc), "limits as before", "limitsRefused", "limitsFix");
}

int cli_explain(struct cli *cli)
{
	own_scenario *c = NULL;
	PK_OWN(tables_done) struct tables t = { 0 };
	struct question q = { .wants_live = !cli_has(cli, "world") && !cli_has(cli, "with") };
	struct pk_err err = { 0 };
	int r = read_words(cli, &q, &err);

	if (r == 0)
		r = cli_world(cli, &c, &err);
	q.c = c;
	if (r == 0 && q.wants_live)
		cli_live_open(cli, &t.bpf, &t.live, &q.no_live);
	if (r == 0)
		r = cli_source(cli, c, &err);
	if (r == 0)
		r = add_files(cli, c, &err);
	if (r == 0)
		r = pk_scenario_ready(c, &err);
	if (r == 0)
		r = read_question(cli, &t, &q, &err);
	if (r == 0)
		r = pk_ask_connection(c->asker, PK_ASK_REFERENCE, &q.conn, &q.reference, &err);
	if (r == 0)
		r = pk_ask_connection(c->asker, PK_ASK_COMPILED, &q.conn, &q.compiled, &err);
	if (r < 0)
		return cli_fail(cli, &err, CLI_CANNOT);
	if (t.live)
		ask_live(&q, &t);
	q.lack = pk_connection_lack(&q.conn);
	if ((cli->json || cli->jsonl) && !cli->quiet)
		explain_json(cli, &q);
	else if (!cli->quiet)
		explain_text(cli, &q);
	for (int i = 0; i < 2 && t.live && !cli->json && !cli->jsonl && !cli->quiet; i++)
		say_end(cli, i ? &q.conn.to : &q.conn.from);
	if (!explain_agree(&q))
		return CLI_CANNOT;
	return q.reference.verdict == PK_ALLOW && !q.lack ? CLI_OK : CLI_NO;
}
