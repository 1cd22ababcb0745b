/* SPDX-License-Identifier: Apache-2.0 */
/* What a source's whole answer lacks: gone, moved or held, until it is back or released. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs those above first */
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "controller/documents/absence.h"
#include "controller/documents/docs.h"
#include "docs_store.h"
#include "own.h"
#include "str.h"

#define DENY  "{\"endpointSelector\": {}, \"ingress\": [{}]}"
#define OTHER "{\"endpointSelector\": {}, \"egress\": [{}]}"

static void test_judge(void **state)
{
	static const struct {
		const char *what;
		struct pk_absence a;
		bool held;
	} rows[] = {
		{ "nothing lacks", { .had = 5 }, false },
		{ "one of many", { .had = 9, .lacks = 1 }, false },
		{ "the last one", { .had = 1, .lacks = 1 }, false },
		{ "two of two", { .had = 2, .lacks = 2 }, true },
		{ "two of three", { .had = 3, .lacks = 2 }, false },
		{ "two of four are half", { .had = 4, .lacks = 2 }, false },
		{ "three of four", { .had = 4, .lacks = 3 }, true },
		{ "five of ten", { .had = 10, .lacks = 5 }, false },
		{ "six of ten", { .had = 10, .lacks = 6 }, true },
		{ "all of ten", { .had = 10, .lacks = 10 }, true },
		{ "six of ten in two steps", { .had = 7, .lacks = 3, .recent = 3 }, true },
		{ "the last two in two steps of one",
		  { .had = 1, .lacks = 1, .recent = 1 },
		  false },
		{ "one, the source is behind", { .had = 9, .lacks = 1, .behind = true }, true },
		{ "nothing, the source is behind", { .had = 9, .behind = true }, false },
		{ "the only one, at start", { .had = 1, .lacks = 1, .first = true }, true },
		{ "one of two, at start", { .had = 2, .lacks = 1, .first = true }, false },
		{ "all of two, at start", { .had = 2, .lacks = 2, .first = true }, true },
		{ "three of four, at start", { .had = 4, .lacks = 3, .first = true }, true },
		{ "none there before, at start", { .first = true }, false },
	};

	(void)state;
	for (size_t i = 0; i < PK_ARRAY_LEN(rows); i++)
		if ((pk_absence_held(&rows[i].a) != NULL) != rows[i].held)
			fail_msg("%s", rows[i].what);
}

struct fixture {
	char dir[32];
	struct pk_docs *docs;
	const char *has; /* letters of the places that the source has now */
	struct pk_docs_look look;
};

static bool has(void *arg, const char *path)
{
	const struct fixture *f = arg;

	return strchr(f->has, path[strlen(path) - 1]) != NULL;
}

static void load(struct fixture *f)
{
	f->docs = pk_docs_new(f->dir);
	pk_docs_load(f->docs, NULL, NULL);
}

static int setup(void **state)
{
	struct fixture *f = pk_alloc(sizeof(*f));

	strcpy(f->dir, "/tmp/pk-absence-XXXXXX");
	if (!mkdtemp(f->dir))
		return -1;
	f->look = (struct pk_docs_look){
		.of = "file", .has = has, .arg = f, .why = "gone", .now_ms = 1000000
	};
	load(f);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	own_str command = { 0 };

	pk_docs_free(f->docs);
	pk_str_addf(&command, "rm -r %s", f->dir);
	assert_int_equal(system(command.text), 0);
	free(f);
	return 0;
}

static void offer_text(struct fixture *f, const char *letters, const char *text)
{
	for (const char *p = letters; *p; p++) {
		char path[16];
		const struct pk_doc_origin origin = { .source = "file", .path = path };

		snprintf(path, sizeof(path), "/p/%c", *p);
		pk_docs_offer(f->docs, &origin, text, strlen(text));
	}
}

static void offer(struct fixture *f, const char *letters)
{
	offer_text(f, letters, DENY);
}

/* The letters in force, in order; those that are held are followed by '!'. */
static const char *in_force(struct fixture *f)
{
	static char text[64];
	struct pk_document **list;
	size_t n = 0;

	pk_docs_settle(f->docs, &list);
	pk_docs_retire(f->docs);
	for (size_t i = 0; i < pk_docs_count(f->docs); i++) {
		const struct pk_doc_entry *e = pk_docs_at(f->docs, i);

		if (!e->doc)
			continue;
		text[n++] = e->path[strlen(e->path) - 1];
		if (e->held)
			text[n++] = '!';
	}
	text[n] = '\0';
	return text;
}

static bool look(struct fixture *f, const char *letters)
{
	f->has = letters;
	return pk_docs_looked(f->docs, &f->look);
}

static void restart(struct fixture *f)
{
	assert_int_equal(docs_store(f->docs, NULL), 0);
	pk_docs_free(f->docs);
	load(f);
}

static void none(void *arg, const struct pk_doc_entry *e)
{
	(void)e;
	++*(unsigned int *)arg;
}

static size_t release(struct fixture *f, const char *what)
{
	unsigned int told = 0;
	const struct pk_docs_meant meant = { .what = what, .told = none, .arg = &told };
	size_t n = pk_docs_release(f->docs, &meant);

	assert_int_equal(told, n);
	return n;
}

static void test_one_act_counts_at_once(void **state)
{
	struct fixture *f = *state;

	offer(f, "abc");
	assert_string_equal(in_force(f), "abc");
	assert_true(look(f, "ab"));
	assert_string_equal(in_force(f), "ab");
	assert_true(look(f, "a"));
	assert_string_equal(in_force(f), "a");
	assert_true(look(f, ""));
	assert_string_equal(in_force(f), "");
	assert_false(look(f, ""));
}

static void test_all_at_once_is_held(void **state)
{
	struct fixture *f = *state;

	offer(f, "ab");
	assert_true(look(f, ""));
	assert_string_equal(in_force(f), "a!b!");
	assert_false(look(f, ""));
	/* Over a restart too. */
	restart(f);
	assert_string_equal(in_force(f), "a!b!");
	f->look.first = true;
	look(f, "");
	assert_string_equal(in_force(f), "a!b!");
	/* What comes back is as before; the other one may go alone then. */
	f->look.first = false;
	offer(f, "a");
	assert_string_equal(in_force(f), "ab!");
	assert_int_equal(pk_docs_held(f->docs, "file", NULL), 1);
	assert_int_equal(pk_docs_held(f->docs, "consul", NULL), 0);
	assert_int_equal(release(f, "consul"), 0);
	assert_int_equal(release(f, "file/other"), 0);
	assert_int_equal(release(f, "file/b"), 1);
	assert_string_equal(in_force(f), "a");
	restart(f);
	assert_string_equal(in_force(f), "a");
}

static void test_more_than_half_in_steps(void **state)
{
	struct fixture *f = *state;

	offer(f, "abcdefgh");
	assert_true(look(f, "abcde"));
	assert_string_equal(in_force(f), "abcde");
	f->look.now_ms += PK_ABSENCE_WINDOW_MS / 2;
	assert_true(look(f, "abc"));
	assert_string_equal(in_force(f), "abcd!e!");
	/* One act is one act, also now. */
	assert_true(look(f, "ab"));
	assert_string_equal(in_force(f), "abd!e!");
	assert_int_equal(release(f, "file"), 2);
	assert_string_equal(in_force(f), "ab");
}

/* Long after the first step the second one is judged alone. */
static void test_steps_far_apart(void **state)
{
	struct fixture *f = *state;

	offer(f, "abcdefgh");
	look(f, "abcde");
	f->look.now_ms += PK_ABSENCE_WINDOW_MS + 1;
	look(f, "abc");
	assert_string_equal(in_force(f), "abc");
}

static void test_a_source_that_starts_empty(void **state)
{
	struct fixture *f = *state;

	offer(f, "a");
	in_force(f);
	restart(f);
	f->look.first = true;
	look(f, "");
	assert_string_equal(in_force(f), "a!");
	assert_int_equal(release(f, "file"), 1);
	assert_string_equal(in_force(f), "");
}

static void test_behind(void **state)
{
	struct fixture *f = *state;

	offer(f, "abc");
	f->look.behind = true;
	look(f, "ab");
	assert_string_equal(in_force(f), "abc!");
	f->look.behind = false;
	f->look.meant = true;
	look(f, "ab");
	assert_string_equal(in_force(f), "ab");
	look(f, "");
	assert_string_equal(in_force(f), "");
}

/* A document that another file has now was moved, however many were; one beside them is gone. */
static void test_moved(void **state)
{
	static const char *const places[] = { "/p/a", "/p/b", "/p/c", "/q/A", "/q/B" };
	struct fixture *f = *state;

	for (size_t i = 0; i < PK_ARRAY_LEN(places); i++) {
		const struct pk_doc_origin origin = { .source = "file", .path = places[i] };
		own_str text = { 0 };

		if (i == 3)
			in_force(f);
		pk_str_addf(&text, "{\"name\": \"%zu\", \"rules\": [" DENY "]}", i % 3);
		pk_docs_offer(f->docs, &origin, text.text, text.len);
	}
	assert_true(look(f, "AB"));
	assert_string_equal(in_force(f), "AB");
}

/* What is in force of a source that can't be asked; and what the operator switched off. */
static void test_no_source(void **state)
{
	struct fixture *f = *state;

	offer(f, "ab");
	assert_true(pk_docs_hold(f->docs, "file", PK_DOCS_NO_SOURCE));
	assert_false(pk_docs_hold(f->docs, "file", PK_DOCS_NO_SOURCE));
	assert_string_equal(in_force(f), "a!b!");
	restart(f);
	assert_true(pk_docs_unhold(f->docs, "file", PK_DOCS_NO_SOURCE));
	assert_string_equal(in_force(f), "ab");
	look(f, "");
	assert_false(pk_docs_unhold(f->docs, "file", PK_DOCS_NO_SOURCE));
	assert_string_equal(in_force(f), "a!b!");
	assert_true(pk_docs_withdraw(f->docs, "file", "no more"));
	assert_string_equal(in_force(f), "");
}

static void test_history_is_kept(void **state)
{
	struct fixture *f = *state;

	*pk_docs_history(f->docs, "consul/operator") =
		(struct pk_docs_history){ .index = 918, .generation = 3, .behind = true };
	restart(f);
	assert_int_equal(pk_docs_history(f->docs, "consul/operator")->index, 918);
	assert_int_equal(pk_docs_history(f->docs, "consul/operator")->generation, 3);
	assert_string_equal(pk_docs_behind(f->docs, "consul"), "consul/operator");
	assert_null(pk_docs_behind(f->docs, "file"));
	assert_int_equal(pk_docs_history(f->docs, "file")->index, 0);
	pk_docs_withdraw(f->docs, "consul", "switched off");
	assert_null(pk_docs_behind(f->docs, "consul"));
	assert_int_equal(pk_docs_history(f->docs, "consul/operator")->index, 0);
}

static const char *events(struct fixture *f)
{
	static char text[256];
	const struct pk_doc_change *c;

	in_force(f);
	text[0] = '\0';
	while ((c = pk_docs_change(f->docs)))
		snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s %s%s;", c->event,
			 c->name, c->why ? "*" : "");
	return text;
}

/* Each document that comes, changes or goes is told of once, with what it was. */
static void test_changes(void **state)
{
	const struct pk_doc_origin origin = { .source = "file", .path = "/p/b", .index = 7 };
	struct fixture *f = *state;
	const struct pk_doc_change *c;

	offer(f, "a");
	assert_string_equal(events(f), "came a;");
	assert_string_equal(events(f), "");
	restart(f);
	offer(f, "a");
	assert_string_equal(events(f), "");
	offer_text(f, "a", OTHER);
	in_force(f);
	c = pk_docs_change(f->docs);
	assert_non_null(c);
	assert_string_equal(c->event, "changed");
	assert_true(c->before[0] && c->hash[0] && c->before[0] != c->hash[0]);
	assert_null(pk_docs_change(f->docs));
	pk_docs_offer(f->docs, &origin, DENY, strlen(DENY));
	in_force(f);
	c = pk_docs_change(f->docs);
	assert_int_equal(c->index, 7);
	look(f, "");
	assert_string_equal(events(f), "held b*;held a*;");
	offer(f, "b");
	assert_string_equal(events(f), "back b;");
	release(f, "file");
	assert_string_equal(events(f), "went a*;");
	look(f, "");
	assert_string_equal(events(f), "went b*;");
}

/* Of two of a name the second one isn't in force: it didn't come. */
static void test_a_namesake_does_not_come(void **state)
{
	struct fixture *f = *state;

	offer_text(f, "ab", "{\"name\": \"same\", \"rules\": [" DENY "]}");
	assert_string_equal(events(f), "came same;");
	look(f, "b");
	offer_text(f, "b", "{\"name\": \"same\", \"rules\": [" DENY "]}");
	assert_string_equal(events(f), "went same*;came same;");
}

int main(void)
{
#define WITH_DOCS(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_judge),
		WITH_DOCS(test_one_act_counts_at_once),
		WITH_DOCS(test_all_at_once_is_held),
		WITH_DOCS(test_more_than_half_in_steps),
		WITH_DOCS(test_steps_far_apart),
		WITH_DOCS(test_a_source_that_starts_empty),
		WITH_DOCS(test_behind),
		WITH_DOCS(test_moved),
		WITH_DOCS(test_no_source),
		WITH_DOCS(test_history_is_kept),
		WITH_DOCS(test_changes),
		WITH_DOCS(test_a_namesake_does_not_come),
	};

	return cmocka_run_group_tests_name("controller: absence", tests, NULL, NULL);
}
