/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Documents that are offered, looked for and gone, and the directory in which they are kept. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs those above first */
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controller/documents/docs.h"
#include "own.h"
#include "str.h"

#define DENY "{\"endpointSelector\": {}, \"ingress\": [{}]}"

static inline bool offer(struct pk_docs *docs, const char *path, const char *text)
{
	const struct pk_doc_origin origin = { .source = "file", .path = path };

	return pk_docs_offer(docs, &origin, text, strlen(text));
}

static inline size_t in_force(struct pk_docs *docs)
{
	struct pk_document **list;
	size_t n = pk_docs_settle(docs, &list);

	pk_docs_retire(docs);
	return n;
}

static inline bool no_path(void *arg, const char *path)
{
	(void)arg;
	(void)path;
	return false;
}

static inline bool only_a(void *arg, const char *path)
{
	(void)arg;
	return strcmp(path, "a") == 0;
}

static inline bool every_path(void *arg, const char *path)
{
	(void)arg;
	return path != NULL;
}

/* A look that isn't the first one. */
static inline bool looked(struct pk_docs *docs, const char *of,
			  bool (*has)(void *arg, const char *path))
{
	const struct pk_docs_look look = { .of = of, .has = has, .why = "gone" };

	return pk_docs_looked(docs, &look);
}

static inline bool is_other(void *arg, const char *path)
{
	return strcmp(path, arg) != 0;
}

static inline bool gone(struct pk_docs *docs, const char *path)
{
	const struct pk_docs_look look = {
		.of = "file", .has = is_other, .arg = (void *)path, .why = "gone"
	};

	return pk_docs_looked(docs, &look);
}

static inline void no_error(void *arg, const struct pk_err *err)
{
	(void)arg;
	fail_msg("%s", err->text);
}

static inline void count_error(void *arg, const struct pk_err *err)
{
	assert_true(strlen(err->text) > 0);
	++*(int *)arg;
}

static inline void write_text(const char *path, const char *text)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

static inline void run(const char *command, const char *dir)
{
	own_str text = { 0 };

	for (const char *p = command; *p; p++)
		if (*p == '@')
			pk_str_add(&text, dir);
		else
			pk_str_addn(&text, p, 1);
	assert_int_equal(system(text.text), 0);
}
