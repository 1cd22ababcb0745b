/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Label sets and documents out of their texts; a test fails where a text is none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs those above first */
#include <cmocka.h>
#include <string.h>

#include "doc.h"
#include "label.h"

static inline struct pk_label_set *labels(const char *text)
{
	struct pk_label_set *set = NULL;
	struct pk_err err = { 0 };

	if (pk_label_set_parse(text, &set, &err) < 0)
		fail_msg("%s: %s", text, err.text);
	return set;
}

static inline struct pk_document *document(const char *path, const char *text)
{
	const struct pk_doc_source src = { .source = "file", .path = path };
	struct pk_doc_notes notes = { 0 };
	struct pk_document *doc = NULL;

	if (pk_document_parse(&src, text, strlen(text), &doc, &notes) < 0)
		fail_msg("%s: %s", text, notes.list[0].text);
	pk_doc_notes_done(&notes);
	return doc;
}
