/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "docsource.h"
#include "own.h"
#include "policy_consul.h"

#define NAMESPACE_MAX 128

bool cli_is_shared(const struct cli *cli)
{
	return cli_has(cli, "consul") || cli_has(cli, "nomad");
}

bool cli_consul_is_meant(const struct cli *cli)
{
	static const char *const options[] = { "namespace", "prefix", "cluster", "wait" };

	for (size_t i = 0; !cli_is_shared(cli) && i < PK_ARRAY_LEN(options); i++)
		if (cli_has(cli, options[i])) {
			cli_usage(cli, "-%s is of documents in Consul: say -consul", options[i]);
			return false;
		}
	return true;
}

static bool is_namespace(const char *text)
{
	static const char plain[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-";
	size_t n = strlen(text);

	return n && n <= NAMESPACE_MAX && strspn(text, plain) == n;
}

static char *joined(const char *before, const char *name, const char *after)
{
	own_str text = { 0 };
	char *out;

	pk_str_addf(&text, "%s%s%s", before, name, after);
	out = pk_str_take(&text);
	if (!out)
		abort();
	return out;
}

static void set_source(struct cli_consul_docs *docs)
{
	const char *origin = docs->consul.origin;

	if (docs->tenant_name) {
		docs->source = joined(origin, PK_SOURCE_TENANT, docs->tenant_name);
		docs->below = joined("policies/tenants/", docs->tenant_name, "/");
	} else {
		docs->source = joined(origin, PK_SOURCE_OPERATOR, "");
		docs->below = pk_strdup("policies/operator/");
	}
}

static const char *last_part(const char *key)
{
	const char *slash = strrchr(key, '/');

	return slash ? slash + 1 : key;
}

/* Returns whether the key is a document: no folder, nor the operators' generation and its like. */
static bool is_document(const struct pk_kv *kv)
{
	const char *name = last_part(kv->key);

	return *name && *name != '.';
}

static struct pk_document *parsed(const struct cli_consul_docs *docs, const struct pk_kv *kv)
{
	own_mem char *path = joined(docs->consul.origin, ":", kv->key);
	const struct pk_doc_source src = { .source = docs->source,
					   .path = path,
					   .tenant_name = docs->tenant_name };
	struct pk_document *doc = NULL;
	own_notes notes = { 0 };

	if (kv->unreadable || pk_document_parse(&src, kv->value, kv->len, &doc, &notes) < 0)
		return NULL;
	return doc;
}

int cli_consul_docs_open(struct cli *cli, struct cli_consul_docs *docs)
{
	struct pk_err err = { 0 };

	docs->tenant_name = cli_get(cli, "namespace");
	if (docs->tenant_name && !is_namespace(docs->tenant_name))
		return cli_usage(cli, "\"%s\" is no namespace of Nomad", docs->tenant_name);
	if (cli_consul_open(cli, &docs->consul, &err) < 0)
		return cli_fail(cli, &err, CLI_CANNOT);
	set_source(docs);
	return CLI_OK;
}

static void forget(struct cli_consul_docs *docs)
{
	for (size_t i = 0; i < docs->n; i++)
		pk_document_free(docs->list[i].doc);
	free(PK_MOVE(docs->list, NULL));
	docs->n = 0;
	pk_kvs_done(&docs->kvs);
}

int cli_consul_docs_read(struct cli *cli, struct cli_consul_docs *docs)
{
	struct pk_err err = { 0 };

	forget(docs);
	if (cli_consul_read(&docs->consul, docs->below, &docs->kvs, &err) < 0)
		return cli_fail(cli, &err, CLI_CANNOT);
	docs->list = calloc(docs->kvs.n + 1, sizeof(*docs->list));
	if (!docs->list)
		abort();
	for (size_t i = 0; i < docs->kvs.n; i++)
		if (is_document(&docs->kvs.list[i]))
			docs->list[docs->n++] =
				(struct cli_consul_doc){ .kv = &docs->kvs.list[i],
							 .doc = parsed(docs, &docs->kvs.list[i]) };
	return CLI_OK;
}

void cli_consul_docs_done(struct cli_consul_docs *docs)
{
	forget(docs);
	cli_consul_done(&docs->consul);
	free(docs->source);
	free(docs->below);
}

const struct cli_consul_doc *cli_consul_docs_find(const struct cli_consul_docs *docs,
						  const char *name)
{
	for (size_t i = 0; i < docs->n; i++)
		if (docs->list[i].doc && strcmp(docs->list[i].doc->name, name) == 0)
			return &docs->list[i];
	for (size_t i = 0; i < docs->n; i++)
		if (!docs->list[i].doc && strcmp(last_part(docs->list[i].kv->key), name) == 0)
			return &docs->list[i];
	return NULL;
}

void cli_consul_docs_path(const struct cli_consul_docs *docs, const char *name, struct pk_str *path)
{
	pk_str_addf(path, "%s:%s%s%s", docs->consul.origin, docs->consul.prefix, docs->below, name);
}

const char *cli_consul_docs_name(const struct cli_consul_docs *docs, const char *given)
{
	size_t n = strlen(docs->source);

	if (strncmp(given, docs->source, n) == 0 && given[n] == '/')
		given += n + 1;
	return *given && *given != '.' && !strchr(given, '/') ? given : NULL;
}

int cli_consul_none(const struct cli *cli, const struct cli_consul_docs *docs, const char *name)
{
	struct pk_err err = { 0 };
	int r = cli_consul_say_hidden(cli, &docs->consul, false);

	if (r != CLI_OK)
		return r;
	pk_fail(&err, 0, "no document \"%.100s\" below %s%s", name, docs->consul.prefix,
		docs->below);
	if (docs->consul.home)
		pk_fix(&err, 0, "picket policy list -nomad shows those that there are");
	else
		pk_fix(&err, 0, "picket policy list -consul shows those that there are");
	return cli_fail(cli, &err, CLI_NO);
}

void cli_consul_digest(const char *text, size_t len, char to[PK_DIGEST_TEXT])
{
	uint64_t hash[2];

	pk_hash128(text, len, hash);
	pk_hash_hex(hash, to, PK_DIGEST_TEXT);
}
