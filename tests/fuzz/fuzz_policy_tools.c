/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fmt, import, YAML and suggest. The layout changes no value and is its own layout; what import
 * writes and what is suggested for any flows are documents that the reader takes, and each of
 * import's notes has a place. The first byte chooses a namespace.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "layout.h"
#include "import.h"
#include "own.h"
#include "suggest.h"
#include "yaml_json.h"

static void check(bool ok)
{
	if (!ok)
		abort();
}

static void add_flat(const char *text, size_t len, struct pk_str *out)
{
	struct pk_jw w = { .out = out };
	own_json *doc = NULL;

	check(pk_json_parse("fuzz", text, len, PK_JSON_COMMENTS, &doc, NULL) == 0);
	pk_jw_value(&w, NULL, pk_json_root(doc));
}

static void fuzz_fmt(const char *text, size_t len)
{
	own_str out = { 0 }, again = { 0 }, before = { 0 }, after = { 0 };
	struct pk_json_fault fault;

	if (pk_layout("fuzz", text, len, &out, &fault) < 0) {
		check(fault.what[0] && fault.where.line > 0);
		return;
	}
	/* Blanks may take it beyond the cap of a text. */
	if (out.len > PK_JSON_MAX)
		return;
	check(pk_layout("again", out.text, out.len, &again, &fault) == 0);
	check(strcmp(out.text, again.text) == 0);
	add_flat(text, len, &before);
	add_flat(out.text, out.len, &after);
	check(strcmp(before.text, after.text) == 0);
}

static void fuzz_import(const char *text, size_t len, const char *tenant_name)
{
	const struct pk_import_options options = { .tenant_name = tenant_name };
	own_import import = { 0 };
	int r = pk_import_text("fuzz", text, len, &options, &import);

	check((r == 0) == (import.n > 0));
	check(r == 0 || import.notes.n_errors > 0);
	for (size_t i = 0; i < import.notes.n; i++)
		check(import.notes.list[i].where.line > 0 && import.notes.list[i].text[0]);
	for (size_t i = 0; i < import.n; i++) {
		const struct pk_doc_source src = { .source = "file", .path = "fuzz" };
		own_document *doc = NULL;
		own_notes notes = { 0 };

		check(pk_document_parse(&src, import.docs[i].text, strlen(import.docs[i].text),
					&doc, &notes) == 0);
	}
}

/* What is read as YAML is JSON, or has a key twice and the like; its notes find a place. */
static void fuzz_yaml(const char *text, size_t len)
{
	own_mem char *copy = strndup(text, len);
	const struct pk_import_options options = { 0 };
	own_import import = { 0 };
	own_yaml yaml = { 0 };
	struct pk_json_fault fault = { 0 };

	if (pk_yaml_read(text, len, &yaml, &fault) < 0) {
		check(fault.what[0] && fault.where.line > 0);
		return;
	}
	check(!strchr(yaml.json.text, '\n'));
	pk_import_text("fuzz", yaml.json.text, yaml.json.len, &options, &import);
	pk_yaml_restore(&yaml, copy, &import.notes);
	for (size_t i = 0; i < import.notes.n; i++)
		check(import.notes.list[i].where.line > 0 && import.notes.list[i].where.col > 0);
}

/* A line a flow. */
static void fuzz_suggest(const char *text, size_t len, bool denied)
{
	struct pk_suggest *s = pk_suggest_new(NULL);
	size_t n;

	for (const char *end = text + len, *line = text; line < end;) {
		const char *stop = memchr(line, '\n', (size_t)(end - line));
		size_t size = (size_t)((stop ? stop : end) - line);
		own_json *doc = NULL;

		if (pk_json_parse("flow", line, size, PK_JSON_RELAXED, &doc, NULL) == 0)
			pk_suggest_add(s, pk_json_root(doc), denied);
		line += size + 1;
	}
	n = pk_suggest_finish(s);
	for (size_t i = 0; i < n; i++) {
		const struct pk_doc_source src = { .source = "file", .path = "fuzz" };
		own_document *doc = NULL;
		own_notes notes = { 0 };
		own_str out = { 0 };
		struct pk_jw w = { .out = &out };

		pk_suggest_write(s, i, &w);
		check(out.len > PK_JSON_MAX ||
		      pk_document_parse(&src, out.text, out.len, &doc, &notes) == 0);
	}
	pk_suggest_free(s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data + 1;

	if (size == 0)
		return 0;
	fuzz_fmt(text, size - 1);
	fuzz_import(text, size - 1, data[0] & 1 ? "acme" : NULL);
	fuzz_suggest(text, size - 1, data[0] & 1);
	fuzz_yaml(text, size - 1);
	return 0;
}
