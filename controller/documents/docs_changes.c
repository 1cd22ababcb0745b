/* SPDX-License-Identifier: Apache-2.0 */
/* Finds what came, changed and went, for log and journal: see docs.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "docs_private.h"
#include "own.h"

void pk_docs_sha(const uint64_t hash[2], char text[PK_DOCS_SHA])
{
	pk_hash_hex(hash, text, PK_DOCS_SHA);
}

static void change_done(struct pk_doc_change *c)
{
	free(c->source);
	free(c->name);
	free(c->path);
	free(c->why);
}

void docs_note(struct pk_docs *docs, const struct pk_doc_entry *e, const char *event,
	       const char *why)
{
	struct pk_doc_change *c;

	docs->changes = docs_room_for(docs->changes, docs->n_changes, &docs->room_changes,
				      sizeof(*docs->changes));
	c = &docs->changes[docs->n_changes++];
	*c = (struct pk_doc_change){ .event = event,
				     .source = pk_strdup(e->source),
				     .name = pk_strdup(docs_name_of(e)),
				     .path = pk_strdup(e->path),
				     .why = pk_strdup(why),
				     .index = e->index };
	if (e->doc)
		memcpy(c->hash, e->hash, sizeof(c->hash));
	if (e->has_noted)
		memcpy(c->before, e->noted, sizeof(c->before));
	if (strcmp(event, "went") == 0)
		docs_gone_note(docs, e);
}

static void note_one(struct pk_docs *docs, struct pk_doc_entry *e)
{
	if (!e->doc && e->has_noted)
		docs_note(docs, e, "went", e->refusal);
	else if (e->doc && !e->has_noted)
		docs_note(docs, e, "came", NULL);
	else if (e->doc && memcmp(e->noted, e->hash, sizeof(e->noted)) != 0)
		docs_note(docs, e, "changed", NULL);
	if (e->doc && (!e->has_noted || memcmp(e->noted, e->hash, sizeof(e->noted)) != 0))
		e->number = docs->number + 1;
	e->has_noted = e->doc != NULL;
	memcpy(e->noted, e->hash, sizeof(e->noted));
}

void docs_note_all(struct pk_docs *docs)
{
	for (size_t i = 0; i < docs->n; i++)
		note_one(docs, docs->list[i]);
}

const struct pk_doc_change *pk_docs_change(struct pk_docs *docs)
{
	if (docs->at_change < docs->n_changes)
		return &docs->changes[docs->at_change++];
	docs_changes_done(docs);
	return NULL;
}

void docs_changes_done(struct pk_docs *docs)
{
	for (size_t i = 0; i < docs->n_changes; i++)
		change_done(&docs->changes[i]);
	free(PK_MOVE(docs->changes, NULL));
	docs->n_changes = docs->room_changes = docs->at_change = 0;
}
