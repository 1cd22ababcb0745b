// SPDX-License-Identifier: Apache-2.0
/* What a node does with the keys in Consul that an earlier picketd of its wrote. */
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
/* cmocka needs those above first */
#include <cmocka.h>

#include "tests/unit/publish_fixture.h"

/* A clock that was set back meanwhile makes no older words: what is remembered has the last number. */
static void test_what_is_remembered(void **state)
{
	char path[] = "/tmp/picket-published-XXXXXX";
	struct pk_publish p = { .path = path, .node = (char[]){ "n1" } };
	int fd = mkstemp(path);
	struct key *k;

	(void)state;
	assert_true(fd >= 0);
	assert_true(dprintf(fd, "{\"session\": \"s\", \"number\": 4102444800000, "
				"\"keys\": [\"tenants/acme/n1/1\", \"nodes/n1\", \"nodes/n2\"], "
				"\"numbers\": [40, \"no\"]}") > 0);
	publish_recall(&p);
	assert_true(p.number == 4102444800000ull);
	assert_string_equal(p.session, "s");
	HASH_FIND_STR(p.keys, "tenants/acme/n1/1", k);
	assert_true(k && k->known && k->recalled && !k->written);
	assert_int_equal(k->number, 40);
	HASH_FIND_STR(p.keys, "nodes/n1", k);
	assert_true(k && k->known && !k->recalled); /* the word is written in any case */
	assert_int_equal(k->number, 0);
	HASH_FIND_STR(p.keys, "nodes/n2", k);
	assert_true(k && k->number == 0); /* the file has fewer numbers than keys */
	unlink(path);
	close(fd);
	done(&p);
}

#define OLD	"{\"version\":1,\"number\":41,\"endpoints\":[]}"
#define OLDER	"{\"version\":1,\"number\":40,\"endpoints\":[]}"
#define ANOTHER "{\"version\":1,\"number\":41,\"endpoints\":[7]}"
#define NEWER	"{\"version\":1,\"number\":42,\"endpoints\":[]}"
#define NONES	"{\"version\":1,\"number\":9007199254740991,\"endpoints\":[]}"

struct row {
	const char *text, *holder; /* in the store */
	bool taken;
	uint64_t number; /* of the key's last text, as it was remembered; another key's is 42 */
};

/* wanted_first: the model has said what the share is to say before the store shows it. */
static void show(const struct row *row, bool wanted_first, struct pk_loop *loop)
{
	struct pk_publish p = {
		.node = (char[]){ "n1" }, .session = "s", .number = 42, .shows_by_ms = 3000
	};
	struct key *k = add(&p, "tenants/acme/n1", wanted_first ? NOBODYS : NULL);
	uint64_t wait;

	p.write = pk_timer_new(loop, nothing, NULL);
	p.renew = pk_timer_new(loop, nothing, NULL);
	k->written = false;
	k->known = k->recalled = true;
	k->number = row->number;
	/* It waits for what the store shows, and not for ever. */
	assert_null(publish_next(&p, 1000, &wait));
	assert_int_equal(wait, 2000);
	assert_ptr_equal(publish_next(&p, 3000, &wait), k);
	k->not_before_ms = 9000; /* the store refused it meanwhile */
	assert_null(publish_next(&p, 3000, &wait));
	assert_int_equal(wait, 6000);
	k->not_before_ms = 0;
	seen(&p, k->name, row->text, row->holder);
	if (!wanted_first)
		k->body = pk_strdup(NOBODYS);
	publish_take_shown(k);
	assert_int_equal(k->written, row->taken);
	assert_null(k->shown);
	if (row->taken)
		assert_string_equal(k->text, row->text);
	assert_ptr_equal(publish_next(&p, 1000, &wait), row->taken ? NULL : k);
	/* From then on it is as one that this picketd wrote. */
	seen(&p, k->name, OLDER "x", "s");
	assert_ptr_equal(publish_next(&p, 1000, &wait), k);
	pk_timer_free(p.write);
	pk_timer_free(p.renew);
	done(&p);
}

/*
 * After a restart a share is left as it is where the store shows that it says the same, as this
 * node wrote it, under its session. Any doubt has it written.
 */
static void test_what_an_earlier_picketd_wrote(void **state)
{
	static const struct row rows[] = {
		{ OLD, "s", true, 41 },
		{ OLDER, "s", false, 41 }, /* the store was restored: this key said more since */
		{ ANOTHER, "s", false, 41 },
		{ NEWER, "s", false, 41 },
		{ NONES, "s", false, 41 },
		{ NOBODYS, "s", false, 41 },
		{ OLD "x", "s", false, 41 },
		{ "", "s", false, 41 },
		{ OLD, "another", false, 41 },
		{ OLD, NULL, false, 41 },
		{ NULL, NULL, false, 41 },
		{ OLD, "s", false, 0 }, /* the release before remembered no number of it */
		{ NOBODYS, "s", false, 0 },
	};
	struct pk_loop *loop = pk_loop_new();

	(void)state;
	for (size_t i = 0; i < 2 * PK_ARRAY_LEN(rows); i++)
		show(&rows[i / 2], i % 2, loop);
	pk_loop_free(loop);
}

/* What is shown before the model has said what the share is to say counts as it was shown last. */
static void test_what_changes_before_it_is_taken(void **state)
{
	static const struct row rows[] = {
		{ ANOTHER, "s", false, 41 }, { OLD, NULL, false, 41 }, { NULL, NULL, false, 41 },
		{ OLDER, "s", false, 41 },   { OLD, "s", true, 41 },
	};
	struct pk_loop *loop = pk_loop_new();

	(void)state;
	for (size_t i = 0; i < PK_ARRAY_LEN(rows); i++) {
		struct pk_publish p = { .node = (char[]){ "n1" }, .session = "s", .number = 42 };
		struct key *k = add(&p, "tenants/acme/n1", NULL);

		p.write = pk_timer_new(loop, nothing, NULL);
		k->written = false;
		k->recalled = true;
		k->number = rows[i].number;
		seen(&p, k->name, OLD, "s");
		assert_non_null(k->shown);
		seen(&p, k->name, rows[i].text, rows[i].holder);
		k->body = pk_strdup(NOBODYS);
		publish_take_shown(k);
		assert_int_equal(k->written, rows[i].taken);
		pk_timer_free(p.write);
		done(&p);
	}
	pk_loop_free(loop);
}

/* What this picketd wrote already is what counts. */
static void test_what_is_shown_late(void **state)
{
	struct pk_publish p = { .node = (char[]){ "n1" }, .session = "s", .number = 42 };
	struct key *k = add(&p, "tenants/acme/n1", NOBODYS);
	struct pk_loop *loop = pk_loop_new();

	(void)state;
	p.write = pk_timer_new(loop, nothing, NULL);
	k->written = false;
	k->recalled = true;
	k->text = pk_strdup(NEWER);
	k->number = 41;
	seen(&p, k->name, OLD, "s");
	assert_false(k->written);
	assert_string_equal(k->text, NEWER);
	pk_timer_free(p.write);
	pk_loop_free(loop);
	done(&p);
}

static int drop_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st, (void)type, (void)ftw;
	return remove(path);
}

/* A store that takes a write, and ends the loop's turn with it. */
static struct {
	struct pk_loop *loop;
	pk_store_fn *fn;
	void *arg;
	char text[100];
} store_of;

static struct pk_store_call *takes(struct pk_store *store, const struct pk_store_write *w,
				   pk_store_fn *fn, void *arg, struct pk_err *err)
{
	(void)store, (void)err;
	store_of.fn = fn;
	store_of.arg = arg;
	snprintf(store_of.text, sizeof(store_of.text), "%s", w->value);
	pk_loop_stop(store_of.loop);
	return (struct pk_store_call *)&store_of;
}

static struct pk_store_call *holds_none(struct pk_store *store, const char *holder,
					const char *node, unsigned int turn, pk_store_fn *fn,
					void *arg, struct pk_err *err)
{
	(void)store, (void)holder, (void)node, (void)turn, (void)fn, (void)arg, (void)err;
	return NULL;
}

static int fits(const struct pk_store *store, const char *key, const char *value,
		struct pk_err *err)
{
	(void)store, (void)key, (void)value, (void)err;
	return 0;
}

static const struct pk_store_ops ops = {
	.name = "it", .fits = fits, .write = takes, .hold = holds_none
};
static struct pk_store store = { &ops, (char[]){ "p/" } };

static struct pk_publish *start(const struct pk_config *config)
{
	const struct pk_publish_args args = { .loop = store_of.loop,
					      .store = &store,
					      .config = config,
					      .node = "n1",
					      .prefix = store.prefix };
	struct pk_publish *p = pk_publish_new(&args);

	pk_timer_clear(p->look);
	p->looked = true;
	return p;
}

/* Has a share written, and returns its text. */
static void written(struct pk_publish *p, const char *name, char *text, size_t room)
{
	const struct pk_store_answer done = { .done = true };
	struct key *k = publish_key(p, name);

	free(PK_MOVE(k->text, NULL));
	if (!k->body)
		k->body = pk_strdup(NOBODYS);
	k->written = false;
	pk_timer_set(p->write, 0);
	pk_loop_run(store_of.loop);
	store_of.fn(store_of.arg, &done);
	assert_true(k->written);
	k->not_before_ms = 0;
	snprintf(text, room, "%s", store_of.text);
}

/*
 * A store that was restored shows a share as it was before its last change, under a session that
 * lives. That is none that was written last, though another share's number is newer yet.
 */
static void test_a_store_that_was_restored(void **state)
{
	char root[] = "/tmp/picket-published-XXXXXX", acme[2][100], beta[100];
	struct pk_config config = { 0 };

	(void)state;
	assert_non_null(mkdtemp(root));
	snprintf(config.paths.root, sizeof(config.paths.root), "%s", root);
	store_of.loop = pk_loop_new();
	for (size_t i = 0; i < 2; i++) {
		struct pk_publish *p = start(&config);
		struct key *k;

		strcpy(p->session, "s");
		written(p, "tenants/acme/n1", acme[0], sizeof(acme[0]));
		written(p, "tenants/acme/n1", acme[1], sizeof(acme[1]));
		written(p, "tenants/beta/n1", beta, sizeof(beta));
		pk_publish_free(p);
		p = start(&config);
		k = publish_key(p, "tenants/acme/n1");
		k->body = pk_strdup(NOBODYS);
		seen(p, k->name, acme[i], "s");
		assert_int_equal(k->written, i);
		pk_publish_free(p);
	}
	pk_loop_free(store_of.loop);
	nftw(root, drop_one, 8, FTW_DEPTH | FTW_PHYS);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_remembered),
		cmocka_unit_test(test_what_an_earlier_picketd_wrote),
		cmocka_unit_test(test_what_changes_before_it_is_taken),
		cmocka_unit_test(test_what_is_shown_late),
		cmocka_unit_test(test_a_store_that_was_restored),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
