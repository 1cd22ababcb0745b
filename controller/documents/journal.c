/* SPDX-License-Identifier: Apache-2.0 */
#include "journal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "flow.h"
#include "flowlog.h"
#include "json.h"
#include "log.h"
#include "own.h"
#include "str.h"

#define FILE_MAX (16u << 20)
#define KEEP	 4

struct pk_journal {
	struct pk_flowlog *file;
	char node[128];
};

struct pk_journal *pk_journal_new(const struct pk_paths *paths, const char *node,
				  struct pk_loop *loop, struct pk_writer *writer)
{
	struct pk_journal *j = pk_alloc(sizeof(*j));
	own_str path = { 0 };

	pk_str_addf(&path, "%s/var/log/picket/policy.jsonl", paths->root);
	j->file = pk_flowlog_new(&(struct pk_flowlog_args){ .of = "journal",
							    .path = path.text,
							    .max_size = FILE_MAX,
							    .keep = KEEP,
							    .loop = loop,
							    .writer = writer });
	snprintf(j->node, sizeof(j->node), "%s", node);
	return j;
}

void pk_journal_free(struct pk_journal *j)
{
	if (!j)
		return;
	pk_flowlog_free(j->file);
	free(j);
}

/* Returns the digest as GET /v1/policies shows it; NULL: none. */
static const char *sha_of(const uint64_t hash[2], char text[PK_DOCS_SHA])
{
	if (!hash[0] && !hash[1])
		return NULL;
	pk_docs_sha(hash, text);
	return text;
}

static void write_line(struct pk_journal *j, const struct pk_doc_change *c)
{
	char sha[PK_DOCS_SHA], before[PK_DOCS_SHA], time[32];
	own_str line = { 0 };
	struct pk_jw w = { .out = &line };
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	pk_time_text(&now, time);
	pk_jw_open(&w, NULL, '{');
	pk_jw_string(&w, "time", time);
	pk_jw_string(&w, "node", j->node);
	pk_jw_string(&w, "event", c->event);
	pk_jw_string(&w, "source", c->source);
	pk_jw_string(&w, "name", c->name);
	pk_jw_string(&w, "path", c->path);
	pk_jw_string(&w, "sha", sha_of(c->hash, sha));
	pk_jw_string(&w, "before", sha_of(c->before, before));
	if (c->index)
		pk_jw_uint(&w, "index", c->index);
	else
		pk_jw_null(&w, "index");
	pk_jw_string(&w, "why", c->why);
	pk_jw_close(&w, '}');
	if (!line.failed)
		pk_flowlog_line(j->file, line.text, line.len);
}

void pk_journal_document(struct pk_journal *j, const struct pk_doc_change *c)
{
	char sha[PK_DOCS_SHA];
	own_str name = { 0 };

	pk_str_add_escaped(&name, c->name);
	log_info("op=document event=%s source=%s name=\"%s\" sha=%s index=%lu why=\"%s\"", c->event,
		 c->source, name.text ?: "", sha_of(c->hash, sha) ?: "none", c->index,
		 c->why ?: "");
	write_line(j, c);
}

void pk_journal_instance(struct pk_journal *j, const struct pk_doc_change *c)
{
	own_str name = { 0 }, path = { 0 };

	pk_str_add_escaped(&name, c->name);
	pk_str_add_escaped(&path, c->path);
	log_info("op=service event=%s name=\"%s\" instance=\"%s\" why=\"%s\"", c->event,
		 name.text ?: "", path.text ?: "", c->why ?: "");
	write_line(j, c);
}

uint64_t pk_journal_lost(const struct pk_journal *j)
{
	return pk_flowlog_lost(j->file);
}

int pk_journal_error(struct pk_journal *j, unsigned int *to)
{
	return pk_flowlog_error(j->file, to);
}
