/* SPDX-License-Identifier: Apache-2.0 */
/*
 * picket policy apply|delete -consul: documents into and out of Consul, where all nodes read them,
 * by compare-and-set.
 */
#include "policy_consul.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "own.h"
#include "policy_candidate.h"
#include "policy_consul_put.h"
#include "policy_history.h"
#include "policy_rollout.h"
#include "vars.h"

/* What a source uses of its budget, as nodes count it (docs/budgets.md). */
struct budget {
	size_t keys, text, rules;
};

static struct budget used(const struct cli_consul_docs *docs, const struct cli_consul_doc *but)
{
	struct budget sum = { 0 };

	for (size_t i = 0; i < docs->n; i++) {
		if (&docs->list[i] == but)
			continue;
		sum.keys++;
		sum.text += docs->list[i].kv->len;
		sum.rules += docs->list[i].doc ? docs->list[i].doc->n_rules : 0;
	}
	return sum;
}

/* Refuses what nodes would not take for its size. */
static int check_room(const struct cli_consul_docs *docs, const struct cli_consul_doc *old,
		      const struct cli_candidate *c, struct pk_err *err)
{
	struct budget sum = used(docs, old);
	unsigned int most = docs->consul.home ? PK_VARS_TEXT_MAX : CLI_CONSUL_TEXT_MAX;

	if (c->len > most)
		return pk_fix(err,
			      pk_fail(err, 0, "%s has %zu bytes, and %s takes %u of a document",
				      c->doc->name, c->len, docs->consul.home ? "Nomad" : "Consul",
				      most),
			      "split it into several documents");
	if (!docs->tenant_name)
		return 0;
	if (sum.keys + 1 > PK_TENANT_KEYS_MAX || sum.text + c->len > PK_TENANT_TEXT_MAX)
		return pk_fix(
			err,
			pk_fail(err, 0,
				"with %s the tenant has %zu documents of %zu bytes, and nodes "
				"take %d of %u",
				c->doc->name, sum.keys + 1, sum.text + c->len, PK_TENANT_KEYS_MAX,
				PK_TENANT_TEXT_MAX),
			"delete what is not needed any more (docs/budgets.md)");
	if (sum.rules + c->doc->n_rules > PK_TENANT_RULES_MAX)
		return pk_fix(err,
			      pk_fail(err, 0, "with %s the tenant has %zu rules, and nodes take %d",
				      c->doc->name, sum.rules + c->doc->n_rules,
				      PK_TENANT_RULES_MAX),
			      "delete what is not needed any more (docs/budgets.md)");
	return 0;
}

/*
 * Finds the key of the document of that name, else a new one: never one that another document has.
 */
static int find_place(const struct cli_consul_docs *docs, const struct cli_candidate *c,
		      struct pk_str *path, const struct cli_consul_doc **old, struct pk_err *err)
{
	*old = cli_consul_docs_find(docs, c->doc->name);
	if (*old) {
		pk_str_addf(path, "%s:%s", docs->consul.origin, (*old)->kv->key);
		return 0;
	}
	cli_consul_docs_path(docs, c->doc->name, path);
	for (size_t i = 0; i < docs->n; i++)
		if (docs->list[i].doc &&
		    strcmp(docs->list[i].kv->key, CLI_CONSUL_KEY(path->text)) == 0)
			return pk_fix(err,
				      pk_fail(err, EEXIST, "%s holds the document \"%s\"",
					      path->text, docs->list[i].doc->name),
				      "give one of them another name");
	return 0;
}

/* Says how a change that isn't made, or not wholly, ended. Returns the exit status. */
static int say_end(struct cli *cli, enum cli_consul_end end, struct pk_err *err)
{
	if (end == CLI_CONSUL_STALE)
		pk_fix(err, pk_wrap(err, 0, "somebody changed it meanwhile, nothing is written"),
		       "look at what is there now (policy list), and apply again");
	if (end == CLI_CONSUL_UNKNOWN) {
		*err->fix = '\0';
		pk_fix(err, pk_wrap(err, 0, "whether it is written is not known"),
		       "apply again: what is there already is left unchanged");
	}
	if (end != CLI_CONSUL_HALF)
		return cli_fail(cli, err, CLI_CANNOT);
	*err->fix = '\0';
	pk_fix(err,
	       pk_wrap(err, 0, "the document is deleted, its history is not, or not all of it"),
	       "delete it again, with -history: what is left of it goes");
	return cli_fail(cli, err, CLI_PARTLY);
}

/* Returns what is said of the history of a change that is made; NULL: nothing, or it isn't made. */
static const char *said_of(enum cli_consul_end end)
{
	switch (end) {
	case CLI_CONSUL_RENEWED:
		return "begins anew";
	case CLI_CONSUL_UNTOLD:
		return "lacks it";
	case CLI_CONSUL_UNSURE:
		return "may lack it";
	default:
		return NULL;
	}
}

/* Returns whether it is written. What a history lacks the next change finds. */
static bool is_written(const struct cli *cli, enum cli_consul_end end, struct pk_err *err)
{
	const char *said = said_of(end);

	if (!said)
		return end == CLI_CONSUL_DONE;
	pk_wrap(err, 0, "it is written, and its history %s", said);
	if (!cli->quiet)
		cli_fail(cli, err, CLI_OK);
	return true;
}

int cli_consul_put(struct cli *cli, struct cli_consul_docs *docs, const struct cli_candidate *c,
		   const char *verb)
{
	struct pk_doc_source place = { .source = docs->source, .tenant_name = docs->tenant_name };
	struct cli_revision revision = {
		.verb = verb, .name = c->doc->name, .text = c->text, .len = c->len
	};
	own_str path = { 0 };
	struct pk_err err = { 0 };
	enum cli_consul_end end;
	int r = find_place(docs, c, &path, &revision.old, &err);

	place.path = path.text;
	if (r < 0 || cli_candidate_keeps_name(c, &place, &err) < 0 ||
	    check_room(docs, revision.old, c, &err) < 0)
		return cli_fail(cli, &err, CLI_CANNOT);
	if (revision.old && revision.old->kv->len == c->len &&
	    memcmp(revision.old->kv->value, c->text, c->len) == 0) {
		cli_policy_said(cli, c->doc->name, "unchanged", path.text);
		return CLI_OK;
	}
	revision.key = CLI_CONSUL_KEY(path.text);
	end = cli_history_write(docs, &revision, &err);
	if (!is_written(cli, end, &err))
		return say_end(cli, end, &err);
	cli_policy_said(cli, c->doc->name, revision.old ? "changed" : "created", path.text);
	return CLI_OK;
}

int cli_consul_apply(struct cli *cli)
{
	own_candidates *list = NULL;
	own_consul_docs docs = { 0 };
	struct pk_doc_source from = { 0 };
	double seconds;
	int r = cli_consul_docs_open(cli, &docs);

	if (!cli_rollout_wait_given(cli, &seconds))
		return CLI_CANNOT;
	from.source = docs.source;
	from.tenant_name = docs.tenant_name;
	if (r == CLI_OK)
		r = cli_candidates(cli, &from, &list);
	for (int i = 0; r == CLI_OK && i < cli->argc; i++) {
		/* All is read anew, since the last change counts for its tenant's budget. */
		r = cli_consul_docs_read(cli, &docs);
		if (r == CLI_OK)
			r = cli_consul_put(cli, &docs, &list[i], "apply");
		if (r != CLI_OK && i > 0)
			return CLI_PARTLY;
	}
	return r == CLI_OK && seconds > 0 ? cli_rollout_wait(cli, &docs, seconds) : r;
}

/*
 * Warns where nodes will hold what goes with so many others: one deletion by mistake looks the
 * same.
 */
static void warn_held(const struct cli *cli, const struct cli_consul_docs *docs, size_t before,
		      size_t gone)
{
	bool all = gone == before, most = before >= 4 && 2 * gone > before;

	if (gone < 2 || cli->quiet || !(all || most))
		return;
	fprintf(stderr,
		"picket policy delete: %zu of %zu documents went at once: nodes hold them in force "
		"(docs/design.md, \"An absence is not a word\")\n"
		"fix: picket policy release %s on each node, or count up "
		"%spolicies/operator/.generation\n",
		gone, before, docs->source, docs->consul.prefix);
}

int cli_consul_take_out(struct cli *cli, struct cli_consul_docs *docs, const char *name,
			const char *verb)
{
	struct cli_revision revision = { .verb = verb,
					 .name = name,
					 .old = cli_consul_docs_find(docs, name) };
	own_str path = { 0 };
	struct pk_err err = { 0 };
	enum cli_consul_end end;

	if (!revision.old)
		return cli_consul_none(cli, docs, name);
	revision.key = revision.old->kv->key;
	end = cli_history_write(docs, &revision, &err);
	if (!is_written(cli, end, &err))
		return say_end(cli, end, &err);
	pk_str_addf(&path, "%s:%s", docs->consul.origin, revision.key);
	cli_policy_said(cli, name, "deleted", path.text);
	return CLI_OK;
}

/* Takes the document out with its history, or a history whose document is gone already. */
static int forget(struct cli *cli, struct cli_consul_docs *docs, const char *name)
{
	struct cli_revision revision = { .name = name, .old = cli_consul_docs_find(docs, name) };
	own_str path = { 0 };
	struct pk_err err = { 0 };
	enum cli_consul_end end;
	bool any = false;

	revision.key = revision.old ? revision.old->kv->key : NULL;
	end = cli_history_forget(docs, &revision, &any, &err);
	if (end != CLI_CONSUL_DONE)
		return say_end(cli, end, &err);
	if (!any)
		return cli_consul_none(cli, docs, name);
	if (revision.old)
		pk_str_addf(&path, "%s:%s", docs->consul.origin, revision.key);
	else
		cli_consul_docs_path(docs, name, &path);
	cli_policy_said(cli, name, "deleted with its history", path.text);
	return CLI_OK;
}

static int delete_one(struct cli *cli, struct cli_consul_docs *docs, const char *given)
{
	const char *name = cli_consul_docs_name(docs, given);

	if (!name)
		return cli_usage(cli, "\"%s\" is no name of a document of %s", given, docs->source);
	if (cli_has(cli, "history"))
		return forget(cli, docs, name);
	return cli_consul_take_out(cli, docs, name, "delete");
}

int cli_consul_delete(struct cli *cli)
{
	own_consul_docs docs = { 0 };
	size_t gone = 0, done = 0;
	double seconds;
	int worst = CLI_OK, r = cli_consul_docs_open(cli, &docs);

	if (!cli_rollout_wait_given(cli, &seconds))
		return CLI_CANNOT;
	if (r == CLI_OK)
		r = cli_consul_docs_read(cli, &docs);
	if (r != CLI_OK)
		return r;
	for (int i = 0; i < cli->argc; i++) {
		const char *name = cli_consul_docs_name(&docs, cli->argv[i]);
		bool there = name && cli_consul_docs_find(&docs, name);

		r = delete_one(cli, &docs, cli->argv[i]);
		done += r == CLI_OK;
		gone += (r == CLI_OK || r == CLI_PARTLY) && there;
		worst = r > worst ? r : worst;
	}
	warn_held(cli, &docs, docs.n, gone);
	if (worst == CLI_OK && seconds > 0)
		return cli_rollout_wait(cli, &docs, seconds);
	return worst == CLI_CANNOT && done ? CLI_PARTLY : worst;
}
