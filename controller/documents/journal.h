/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Tells what became of the policy documents and of declared services' instances, a line each in
 * the log and in a file that outlives it: var/log/picket/policy.jsonl below the root, rotated as
 * the flows file is.
 */
#include "docs.h"
#include "paths.h"
#include "writer.h"

struct pk_journal;

struct pk_journal *pk_journal_new(const struct pk_paths *paths, const char *node,
				  struct pk_loop *loop, struct pk_writer *writer);
uint64_t pk_journal_lost(const struct pk_journal *journal);
/* Returns why the last line wasn't written, or the file isn't rotated (flowlog.h), as -errno. */
int pk_journal_error(struct pk_journal *journal, unsigned int *to);
void pk_journal_free(struct pk_journal *journal);
/* The same of a declared service's instance: name is the service's, path the address. */
void pk_journal_instance(struct pk_journal *journal, const struct pk_doc_change *change);
void pk_journal_document(struct pk_journal *journal, const struct pk_doc_change *change);
