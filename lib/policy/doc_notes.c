/* SPDX-License-Identifier: Apache-2.0 */
/* The notes that a reader makes on a document, and how they are shown. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "doc_read.h"
#include "own.h"

void pk_doc_notes_done(struct pk_doc_notes *notes)
{
	free(notes->path);
	free(notes->list);
	memset(notes, 0, sizeof(*notes));
}

void *pk_read_array(size_t n, size_t size)
{
	void *p = calloc(n ? n : 1, size);

	if (!p)
		abort();
	return p;
}

char *pk_read_text(const char *text)
{
	char *copy = strdup(text);

	if (!copy)
		abort();
	return copy;
}

/* Finds a note to give up in a full list: an error takes the place of the last warning. */
static struct pk_doc_note *replace_warning(struct pk_doc_notes *notes, bool error)
{
	for (size_t i = notes->n; error && i > 0; i--) {
		struct pk_doc_note *note = &notes->list[i - 1];

		if (note->error)
			continue;
		memmove(note, note + 1, (notes->n - i) * sizeof(*note));
		return &notes->list[notes->n - 1];
	}
	return NULL;
}

static void grow(struct pk_doc_notes *notes, size_t max)
{
	notes->room = notes->room ? notes->room * 2 : 16;
	notes->room = notes->room < max ? notes->room : max;
	notes->list = reallocarray(notes->list, notes->room, sizeof(*notes->list));
	if (!notes->list)
		abort();
}

/* NULL where the list is full: the count goes on, line and column are not worked out. */
static struct pk_doc_note *add(struct pk_doc_notes *notes, bool error)
{
	size_t max = notes->max ? notes->max : PK_DOC_NOTES_MAX;
	struct pk_doc_note *note;

	if (error)
		notes->n_errors++;
	else
		notes->n_warnings++;
	if (notes->n == notes->room && notes->n < max)
		grow(notes, max);
	note = notes->n < notes->room ? &notes->list[notes->n++] : replace_warning(notes, error);
	if (!note)
		return NULL;
	memset(note, 0, sizeof(*note));
	note->error = error;
	return note;
}

static int compare(const void *pa, const void *pb)
{
	const struct pk_json_where *a = &((const struct pk_doc_note *)pa)->where;
	const struct pk_json_where *b = &((const struct pk_doc_note *)pb)->where;

	return a->line != b->line ? (a->line > b->line) - (a->line < b->line)
				  : (a->col > b->col) - (a->col < b->col);
}

void pk_read_sort(struct pk_doc_notes *notes, size_t first)
{
	if (notes->n > first)
		qsort(notes->list + first, notes->n - first, sizeof(*notes->list), compare);
}

struct note_at {
	const struct pk_json *v;
	bool key; /* at the key, not the value */
	bool error;
};

__attribute__((format(printf, 4, 0))) static void
note_at(struct pk_reader *r, const struct note_at *at, const char *fix, const char *fmt, va_list ap)
{
	struct pk_doc_note *note = add(r->notes, at->error);

	if (!note)
		return;
	pk_json_where(r->json, at->v, at->key, &note->where);
	vsnprintf(note->text, sizeof(note->text), fmt, ap);
	snprintf(note->fix, sizeof(note->fix), "%s", fix ?: "");
}

void pk_read_error(struct pk_reader *r, const struct pk_json *v, bool key, const char *fix,
		   const char *fmt, ...)
{
	const struct note_at at = { v, key, true };
	va_list ap;

	va_start(ap, fmt);
	note_at(r, &at, fix, fmt, ap);
	va_end(ap);
}

struct note_sink {
	struct pk_schema_sink sink;
	struct pk_reader *reader;
};

static void note_refusal(struct pk_schema_sink *to, const struct pk_json *v, bool key,
			 const char *fix, const char *what)
{
	struct note_sink *notes = (struct note_sink *)to;

	pk_read_error(notes->reader, v, key, fix, "%s", what);
}

void pk_read_check(struct pk_reader *r, const struct pk_schema *schema, const struct pk_json *v)
{
	struct note_sink notes = { { r->json, note_refusal }, r };

	pk_schema_check(&notes.sink, schema, v);
}

void pk_read_warn(struct pk_reader *r, const struct pk_json *v, bool key, const char *fix,
		  const char *fmt, ...)
{
	const struct note_at at = { v, key, false };
	va_list ap;

	va_start(ap, fmt);
	note_at(r, &at, fix, fmt, ap);
	va_end(ap);
}

void pk_read_fault(struct pk_doc_notes *notes, const struct pk_json_fault *fault)
{
	struct pk_doc_note *note = add(notes, true);

	if (!note)
		return;
	note->where = fault->where;
	snprintf(note->text, sizeof(note->text), "%s", fault->what);
	snprintf(note->fix, sizeof(note->fix), "%s", fault->fix);
}

static int columns(const char *text)
{
	int n = 0;

	for (; *text; text++)
		n += ((unsigned char)*text & 0xc0) != 0x80;
	return n;
}

/*
 * Counts the columns that the first n characters of text take on the screen, escaped: what stands
 * before the underline.
 */
static int shown_width(const char *text, int n)
{
	own_str head = { 0 }, shown = { 0 };
	const char *p = text;

	for (; *p && (n > 0 || ((unsigned char)*p & 0xc0) == 0x80); p++)
		n -= ((unsigned char)*p & 0xc0) != 0x80;
	pk_str_addn(&head, text, (size_t)(p - text));
	pk_str_add_escaped(&shown, head.text ? head.text : "");
	return columns(shown.text ? shown.text : "");
}

static bool has_source(const struct pk_doc_note *note)
{
	return note->where.source[0] && note->where.source_col >= 1;
}

static void add_source(const struct pk_doc_note *note, struct pk_str *out)
{
	const struct pk_json_where *w = &note->where;
	int start, end;

	start = shown_width(w->source, w->source_col - 1);
	end = shown_width(w->source, w->source_col - 1 + w->width);
	pk_str_addf(out, "%5d | ", w->line);
	pk_str_add_escaped(out, w->source);
	pk_str_addf(out, "\n      | %*s^", start, "");
	for (int i = start + 1; i < end; i++)
		pk_str_add(out, "~");
	if (note->fix[0]) {
		pk_str_add(out, " ");
		pk_str_add_escaped(out, note->fix);
	}
	pk_str_add(out, "\n");
}

static void add_line(const struct pk_doc_notes *notes, const struct pk_doc_note *note,
		     struct pk_str *out)
{
	const struct pk_json_where *w = &note->where;

	pk_str_add_escaped(out, notes->path ? notes->path : "");
	pk_str_addf(out, ":%d:%d: %s: ", w->line, w->col, note->error ? "error" : "warning");
	pk_str_add_escaped(out, w->path);
	pk_str_add(out, ": ");
	pk_str_add_escaped(out, note->text);
}

static void add_fix(const struct pk_doc_note *note, struct pk_str *out)
{
	if (!note->fix[0])
		return;
	pk_str_add(out, "; fix: ");
	pk_str_add_escaped(out, note->fix);
}

void pk_doc_notes_text(const struct pk_doc_notes *notes, struct pk_str *out)
{
	size_t more = notes->n_errors + notes->n_warnings - notes->n;

	for (size_t i = 0; i < notes->n; i++) {
		const struct pk_doc_note *note = &notes->list[i];

		add_line(notes, note, out);
		if (!has_source(note))
			add_fix(note, out);
		pk_str_add(out, "\n");
		if (has_source(note))
			add_source(note, out);
	}
	if (more)
		pk_str_addf(out, "... and %zu more\n", more);
}

void pk_doc_notes_count(const struct pk_doc_notes *notes, struct pk_str *out)
{
	if (notes->n_errors)
		pk_str_addf(out, "%zu error%s", notes->n_errors, notes->n_errors == 1 ? "" : "s");
	if (notes->n_errors && notes->n_warnings)
		pk_str_add(out, ", ");
	if (notes->n_warnings)
		pk_str_addf(out, "%zu warning%s", notes->n_warnings,
			    notes->n_warnings == 1 ? "" : "s");
}

void pk_doc_notes_json(const struct pk_doc_notes *notes, struct pk_jw *w, const char *key)
{
	pk_jw_open(w, key, '[');
	for (size_t i = 0; i < notes->n; i++) {
		const struct pk_doc_note *note = &notes->list[i];

		pk_jw_open(w, NULL, '{');
		pk_jw_string(w, "severity", note->error ? "error" : "warning");
		pk_jw_string(w, "file", notes->path);
		pk_jw_int(w, "line", note->where.line);
		pk_jw_int(w, "column", note->where.col);
		pk_jw_string(w, "path", note->where.path);
		pk_jw_string(w, "text", note->text);
		if (note->fix[0])
			pk_jw_string(w, "fix", note->fix);
		pk_jw_close(w, '}');
	}
	pk_jw_close(w, ']');
}

void pk_doc_notes_line(const struct pk_doc_notes *notes, struct pk_str *out)
{
	for (size_t i = 0; i < notes->n; i++) {
		if (!notes->list[i].error)
			continue;
		add_line(notes, &notes->list[i], out);
		add_fix(&notes->list[i], out);
		return;
	}
}
