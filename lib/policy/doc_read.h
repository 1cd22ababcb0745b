/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The reader's own: for doc*.c, and for the import, which makes notes as the reader does. */
#include "doc.h"
#include "doc_schema.h"

struct pk_reader {
	const struct pk_json_doc *json;
	struct pk_doc_notes *notes;
	size_t errors_before;		    /* notes may hold those of other documents */
	struct pk_document *doc;	    /* tier, namespace are set before the rules are read */
	const struct pk_settings *settings; /* of the node, NULL: unknown */
};

/* The part of the document that a peer or subject stands in. */
struct pk_read_context {
	bool subject; /* endpointSelector */
	bool deny;
	enum pk_dir dir;
};

/* Adds a note at v (key: at its key). fix may be NULL. */
void pk_read_error(struct pk_reader *r, const struct pk_json *v, bool key, const char *fix,
		   const char *fmt, ...) __attribute__((format(printf, 5, 6)));
void pk_read_warn(struct pk_reader *r, const struct pk_json *v, bool key, const char *fix,
		  const char *fmt, ...) __attribute__((format(printf, 5, 6)));

/* Sorts the notes from first on into the order of the text. */
void pk_read_sort(struct pk_doc_notes *notes, size_t first);

/* Notes a refusal of the JSON scan. */
void pk_read_fault(struct pk_doc_notes *notes, const struct pk_json_fault *fault);

/* Checks the form, which is everything that doc_schema.h's table says. Errors are notes. */
void pk_read_check(struct pk_reader *r, const struct pk_schema *schema, const struct pk_json *v);

/*
 * These read the meaning of v, which has passed the check. Errors are notes, what is read so far
 * stays in the document.
 */
void pk_read_rule(struct pk_reader *r, const struct pk_json *v, struct pk_rule *rule);
void pk_read_entry(struct pk_reader *r, const struct pk_json *v, const struct pk_read_context *in,
		   struct pk_entry *entry);
void pk_read_selector(struct pk_reader *r, const struct pk_json *v,
		      const struct pk_read_context *in, struct pk_selector *sel);
void pk_read_ports(struct pk_reader *r, const struct pk_json *entry, struct pk_entry *out);

/* Helpers. An allocation that fails aborts: sizes are bounded by the text's cap. */
void *pk_read_array(size_t n, size_t size);
char *pk_read_text(const char *text);
