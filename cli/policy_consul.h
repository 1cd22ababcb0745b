/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Reads one source of documents in a store that nodes share: the operator's, or a tenant's own. */
#include "consul_kv.h"
#include "doc.h"

/*
 * The most bytes of a document: Consul takes 512 KiB in a transaction, which has the text in
 * base64, and its history.
 */
#define CLI_CONSUL_TEXT_MAX (376u << 10)
/* Gives the key in a document's path, which begins with its store ("consul:KEY"). */
#define CLI_CONSUL_KEY(path) (strchr(path, ':') + 1)

struct cli_consul_doc {
	const struct pk_kv *kv;
	struct pk_document *doc; /* NULL: a node would refuse it */
};
struct cli_consul_docs {
	struct cli_consul consul;
	const char *tenant_name; /* NULL: the operator */
	char *source;		 /* "consul/operator", "nomad/tenant/acme" */
	char *below;		 /* "policies/operator/", "policies/tenants/acme/" */
	struct pk_kvs kvs;
	struct cli_consul_doc *list; /* by key */
	size_t n;
};

/*
 * Open a source; read what it has now, any number of times. Both return an exit status, and have
 * printed what is wrong.
 */
int cli_consul_docs_open(struct cli *cli, struct cli_consul_docs *docs);
int cli_consul_docs_read(struct cli *cli, struct cli_consul_docs *docs);
void cli_consul_docs_done(struct cli_consul_docs *docs);
#define own_consul_docs PK_OWN(cli_consul_docs_done) struct cli_consul_docs

/* Finds the document with that name, else a refused one whose key is that; NULL: there is none. */
const struct cli_consul_doc *cli_consul_docs_find(const struct cli_consul_docs *docs,
						  const char *name);
/* Appends "consul:KEY" or "nomad:KEY", the path of a new document with that name. */
void cli_consul_docs_path(const struct cli_consul_docs *docs, const char *name,
			  struct pk_str *path);
/* Prints that there is no such document. */
int cli_consul_none(const struct cli *cli, const struct cli_consul_docs *docs, const char *name);
/* How many digits of a text's digest picket policy list shows as sha. */
#define CLI_CONSUL_SHA 12
void cli_consul_digest(const char *text, size_t len, char to[PK_DIGEST_TEXT]);
/* Returns the NAME of NAME or SOURCE/NAME; NULL: it is another source's. */
const char *cli_consul_docs_name(const struct cli_consul_docs *docs, const char *given);

/* The options of commands that work elsewhere without -consul or -nomad. */
#define CLI_NOMAD                                                                                  \
	{ "nomad", NULL,                                                                           \
	  "in Nomad's Variables, not Consul (\"store\": \"nomad\"), as NOMAD_ADDR says", 0 }
#define CLI_CONSUL                                                                                 \
	{ "consul", NULL, "in Consul, for all nodes, as CONSUL_HTTP_ADDR and the like say", 0 },   \
		CLI_NOMAD, CLI_CONSUL_OPTIONS
/* Returns whether -consul or -nomad is given. */
bool cli_is_shared(const struct cli *cli);
/* Refuses options of a store without -consul or -nomad. */
bool cli_consul_is_meant(const struct cli *cli);

/* What commands of other tables do with -consul or -nomad. */
int cli_consul_list(struct cli *cli);
int cli_consul_show(struct cli *cli);
