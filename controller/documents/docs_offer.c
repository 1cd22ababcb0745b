/* SPDX-License-Identifier: Apache-2.0 */
/* A store offers a text: it is read, and is in force from the next settle, or refused. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "docs_private.h"
#include "docsource.h"
#include "own.h"
#include "settings.h"

/*
 * Returns settings that reach everything. The engine says what no setting reaches, by the settings
 * of its time, so no warning is kept beside the document.
 */
static const struct pk_settings *all_reached(void)
{
	static struct pk_prefix whole[2];
	static const struct pk_settings all = {
		.reach = whole, .n_reach = 2, .reach_host = true, .reach_remote_node = true
	};

	pk_prefix_parse("0.0.0.0/0", &whole[0]);
	pk_prefix_parse("::/0", &whole[1]);
	return &all;
}

struct pk_doc_source docs_source_of(const struct pk_doc_origin *origin)
{
	return (struct pk_doc_source){ .source = origin->source,
				       .settings = all_reached(),
				       .path = origin->path,
				       .tenant_name = origin->tenant_name };
}

void docs_refuse(struct pk_doc_entry *e, const char *why)
{
	e->told &= e->refused && why && e->refusal && strcmp(why, e->refusal) == 0;
	free(e->refusal);
	e->refusal = pk_strdup(why);
	e->refused = true;
}

/* Keeps the text until it is stored; without a store, for as long as it is in force. */
static void keep_text(struct pk_doc_entry *e, const char *text, size_t len)
{
	free(e->text);
	e->text = malloc(len + 1);
	if (!e->text)
		abort();
	memcpy(e->text, text, len);
	e->text[len] = '\0';
	e->len = len;
}

static void take(struct pk_docs *docs, struct pk_doc_entry *e, struct pk_document *doc,
		 const uint64_t hash[2])
{
	docs->reorder |= !e->doc || strcmp(e->doc->name, doc->name) != 0;
	docs_set_document(docs, e, doc);
	memcpy(e->hash, hash, sizeof(e->hash));
	free(PK_MOVE(e->refusal, NULL));
	free(PK_MOVE(e->namesake, NULL));
	e->refused = false;
	clock_gettime(CLOCK_REALTIME, &e->since);
}

/* Returns whether an unchanged text is still refused for what it waited for. */
static bool still_refused(const struct pk_docs *docs, const struct pk_doc_entry *e)
{
	return !e->over &&
	       (!e->namesake || docs_name_is_taken(docs->in_force, e->source, e->namesake));
}

/*
 * Returns whether the document gives its tenant too many rules. That one is refused; the others
 * stay.
 */
static bool has_too_many(const struct pk_docs *docs, const struct pk_doc_entry *e,
			 const struct pk_document *doc)
{
	size_t others;

	if (!pk_source_namespace(e->source))
		return false;
	others = docs_rules_of(docs->rules, e->source) - (e->doc ? e->doc->n_rules : 0);
	return others + doc->n_rules > PK_TENANT_RULES_MAX;
}

static void refuse_too_many(struct pk_doc_entry *e, const struct pk_document *doc)
{
	char why[160];

	snprintf(why, sizeof(why),
		 "its %zu rules and those of its tenant's other documents are more than %d; fix: "
		 "have fewer, with more peers and ports in each",
		 doc->n_rules, PK_TENANT_RULES_MAX);
	docs_refuse(e, why);
	e->over = true;
}

/* Refuses a document that can be read and still isn't taken. */
static bool is_refused(const struct pk_docs *docs, struct pk_doc_entry *e,
		       const struct pk_document *doc)
{
	bool many = has_too_many(docs, e, doc);

	if (doc->uses_fqdn)
		docs_refuse(e,
			    "toFQDNs: this release does not learn names from DNS answers yet, and "
			    "the document would be half obeyed; fix: use toCIDR, or leave the rule "
			    "out");
	else if (many)
		refuse_too_many(e, doc);
	return doc->uses_fqdn || many;
}

bool pk_docs_offer(struct pk_docs *docs, const struct pk_doc_origin *origin, const char *text,
		   size_t len)
{
	struct pk_doc_entry *e = docs_entry_of(docs, origin);
	own_document *doc = NULL;
	bool first = !e->confirmed, back = docs_set_held(docs, e, NULL);
	uint64_t hash[2];

	e->index = origin->index;
	pk_hash128(text, len, hash);
	if (e->doc && memcmp(hash, e->hash, sizeof(hash)) == 0)
		e->text_index = origin->index;
	if (!first && memcmp(hash, e->seen, sizeof(hash)) == 0 && still_refused(docs, e))
		return back;
	memcpy(e->seen, hash, sizeof(hash));
	e->confirmed = true;
	e->told = false;
	free(PK_MOVE(e->namesake, NULL));
	pk_doc_notes_done(&e->notes);
	e->over = false;
	if (docs_read(origin, text, len, hash, &doc, &e->notes) < 0) {
		docs_refuse(e, NULL);
		return true;
	}
	if (is_refused(docs, e, doc))
		return true;
	if (e->doc && memcmp(hash, e->hash, sizeof(hash)) == 0) {
		e->refused = false;
		free(PK_MOVE(e->refusal, NULL));
		return true;
	}
	take(docs, e, PK_MOVE(doc, NULL), hash);
	e->text_index = origin->index;
	keep_text(e, text, len);
	return true;
}

bool pk_docs_unreadable(struct pk_docs *docs, const struct pk_doc_origin *origin, const char *why)
{
	struct pk_doc_entry *e = docs_entry_of(docs, origin);

	if (e->refused && e->refusal && strcmp(e->refusal, why) == 0)
		return false;
	e->confirmed = true;
	memset(e->seen, 0, sizeof(e->seen));
	free(PK_MOVE(e->namesake, NULL));
	docs_refuse(e, why);
	return true;
}
