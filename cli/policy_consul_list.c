/* SPDX-License-Identifier: Apache-2.0 */
/* picket policy list|show -consul: what stands in Consul, whichever nodes have it in force. */
#include <stdio.h>
#include <string.h>

#include "out.h"
#include "own.h"
#include "policy_consul.h"
#include "rules.h"

static const char *state_of(const struct pk_document *doc)
{
	if (!doc)
		return "refused";
	return doc->audit ? "audit" : "valid";
}

static void row(const struct cli_consul_docs *docs, const struct cli_consul_doc *d, struct pk_jw *w)
{
	const char *slash = strrchr(d->kv->key, '/');
	char sha[PK_DIGEST_TEXT];
	own_str path = { 0 };

	pk_str_addf(&path, "%s:%s", docs->consul.origin, d->kv->key);
	cli_consul_digest(d->kv->value, d->kv->len, sha);
	sha[CLI_CONSUL_SHA] = '\0';
	pk_jw_open(w, NULL, '{');
	pk_jw_string(w, "source", docs->source);
	pk_jw_string(w, "name", d->doc ? d->doc->name : slash + 1);
	pk_jw_string(w, "namespace", d->doc ? d->doc->tenant_name : docs->tenant_name);
	pk_jw_string(w, "tier", d->doc ? pk_tier_name(PK_RANK(d->doc->tier, 0)) : NULL);
	pk_jw_string(w, "state", state_of(d->doc));
	pk_jw_uint(w, "rules", d->doc ? d->doc->n_rules : 0);
	pk_jw_uint(w, "bytes", d->kv->len);
	pk_jw_string(w, "sha", sha);
	pk_jw_uint(w, "index", d->kv->modified);
	pk_jw_string(w, "path", path.text);
	pk_jw_close(w, '}');
}

static const char *state_color(const struct pk_json *v)
{
	return strcmp(cli_text(v, "state"), "refused") ? NULL : CLI_RED;
}

static const struct cli_column columns[] = {
	{ .name = "name", .title = "Document" },
	{ .name = "namespace", .title = "Namespace" },
	{ .name = "tier", .title = "Tier" },
	{ .name = "state", .title = "State", .color = state_color },
	{ .name = "rules", .title = "Rules" },
	{ .name = "sha", .title = "Digest" },
	{ .name = "index", .title = "Index", .wide = true },
	{ .name = "bytes", .title = "Bytes", .wide = true },
	{ .name = "path", .title = "Path", .wide = true },
	{ 0 },
};

static int read_docs(struct cli *cli, struct cli_consul_docs *docs)
{
	int r = cli_consul_docs_open(cli, docs);

	return r == CLI_OK ? cli_consul_docs_read(cli, docs) : r;
}

int cli_consul_list(struct cli *cli)
{
	own_consul_docs docs = { 0 };
	own_json *rows = NULL;
	own_str text = { 0 };
	struct pk_jw w = { .out = &text };
	struct pk_err err = { 0 };
	int r = read_docs(cli, &docs);

	if (r != CLI_OK)
		return r;
	pk_jw_open(&w, NULL, '[');
	for (size_t i = 0; i < docs.n; i++)
		if (!cli_has(cli, "refused") || !docs.list[i].doc)
			row(&docs, &docs.list[i], &w);
	pk_jw_close(&w, ']');
	if (pk_json_parse("list", text.text, text.len, PK_JSON_RELAXED, &rows, &err) < 0)
		return cli_fail(cli, &err, CLI_CANNOT);
	r = cli_consul_say_hidden(cli, &docs.consul, docs.n > 0);
	if (r != CLI_OK)
		return r;
	if (cli->quiet)
		return pk_json_count(pk_json_root(rows)) ? CLI_OK : CLI_NO;
	return cli_list(cli, pk_json_root(rows), columns);
}

int cli_consul_show(struct cli *cli)
{
	own_consul_docs docs = { 0 };
	const struct cli_consul_doc *found;
	const char *name;
	int r = read_docs(cli, &docs);

	if (r != CLI_OK)
		return r;
	name = cli_consul_docs_name(&docs, cli->argv[0]);
	if (!name)
		return cli_usage(cli, "\"%s\" is no name of a document of %s", cli->argv[0],
				 docs.source);
	found = cli_consul_docs_find(&docs, name);
	if (!found)
		return cli_consul_none(cli, &docs, name);
	if (!cli->quiet)
		fwrite(found->kv->value, 1, found->kv->len, stdout);
	return CLI_OK;
}
