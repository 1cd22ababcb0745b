/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Reads the documents that are to be applied: all are read and checked before the first is written.
 */
#include "cli.h"
#include "doc.h"

struct cli_candidate {
	char *text;
	size_t len;
	struct pk_document *doc;
};
void cli_candidates_done(struct cli_candidate **list);
#define own_candidates PK_OWN(cli_candidates_done) struct cli_candidate

/*
 * Reads the documents of the command's arguments. The caller frees the list. None of them is one
 * that a node would refuse in such a source.
 */
int cli_candidates(struct cli *cli, const struct pk_doc_source *from, struct cli_candidate **list);
/*
 * Refuses a document that gives itself no name, and whose file is called otherwise than the place
 * where it would go.
 */
int cli_candidate_keeps_name(const struct cli_candidate *c, const struct pk_doc_source *place,
			     struct pk_err *err);
/*
 * Prints a line for each document, or JSON, at once: what was done is said even where the next one
 * fails.
 */
void cli_policy_said(const struct cli *cli, const char *name, const char *what, const char *path);

/* The same commands where the documents are in Consul (policy_consul.c). */
int cli_consul_apply(struct cli *cli);
int cli_consul_delete(struct cli *cli);
