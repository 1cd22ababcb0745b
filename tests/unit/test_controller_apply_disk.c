/* SPDX-License-Identifier: Apache-2.0 */
/* apply.c: what waits for the disk: one that hangs, one that refuses, one that loses what was written. */
#include "apply_fixture.h"

static int wait_at_the_gate(void *arg, struct pk_err *err)
{
	struct fixture *f = *(struct fixture **)arg;
	char byte;

	(void)err;
	return read(f->gate[0], &byte, 1) == 1 ? 0 : -EIO;
}

/* A disk that hangs: a change is in force and acknowledged, but no name goes before it is stored. */
static void test_a_disk_that_hangs(void **state)
{
	struct fixture *f = *state;
	struct fixture **arg = pk_alloc(sizeof(struct fixture *));
	const struct pk_work hang = { .run = wait_at_the_gate, .arg = arg, .always = true };

	start(f);
	assert_int_equal(pipe(f->gate), 0);
	*arg = f;
	assert_true(pk_writer_add(f->disk, &hang));
	offer(f, "/p/a");
	until_revision(f, 2);
	offer(f, "/p/b");
	until_revision(f, 3);
	pk_apply_settings(f->apply);
	until_revision(f, 4);
	assert_null(strchr(fake.asked, 'a'));
	assert_false(has_file(f, "a") || has_file(f, "b"));
	assert_int_equal(pk_apply_enforced(f->apply, NULL, false), pk_docs_number(f->docs));
	/* It goes on: two batches, and then the names. */
	assert_int_equal(write(f->gate[1], "", 1), 1);
	while (!strchr(fake.asked, 'a') || !has_file(f, "b"))
		turn(f);
	assert_true(has_file(f, "a"));
	assert_string_equal(pk_apply_state(f->apply)->store_error.text, "");
	close(f->gate[0]);
	close(f->gate[1]);
}

static uint64_t clock_ms;

static uint64_t set_clock(void *arg)
{
	(void)arg;
	return clock_ms;
}

static const struct pk_doc_entry *entry_of(struct fixture *f, const char *path)
{
	for (size_t i = 0; i < pk_docs_count(f->docs); i++)
		if (strcmp(pk_docs_at(f->docs, i)->path, path) == 0)
			return pk_docs_at(f->docs, i);
	return NULL;
}

static bool has_none(void *arg, const char *path)
{
	(void)arg;
	(void)path;
	return false;
}

static void turns(struct fixture *f, int n)
{
	while (n--)
		turn(f);
}

/*
 * A file that the disk refused to sync is written again: asked once more, a disk says that it has
 * what it lost.
 */
static void test_a_disk_that_lost_what_was_written(void **state)
{
	struct fixture *f = *state;
	struct fixture **arg = pk_alloc(sizeof(struct fixture *));
	const struct pk_work hang = { .run = wait_at_the_gate, .arg = arg, .always = true };
	own_str kept = { 0 };
	struct stat st;

	pk_loop_set_clock(f->loop, set_clock, NULL);
	pk_str_addf(&kept, "%s/file/a", f->config.paths.policies);
	start(f);
	assert_int_equal(pipe(f->gate), 0);
	*arg = f;
	assert_true(pk_writer_add(f->fsync, &hang));
	offer(f, "/p/a");
	until_revision(f, 2);
	while (!pk_docs_is_stored(entry_of(f, "/p/a")))
		turn(f);
	assert_int_equal(unlink(kept.text), 0);
	assert_int_equal(mkfifo(kept.text, 0600), 0); /* which can't be synced */
	assert_int_equal(write(f->gate[1], "", 1), 1);
	while (!*pk_apply_state(f->apply)->store_error.text)
		turn(f);
	assert_false(pk_docs_is_stored(entry_of(f, "/p/a")));
	pk_apply_soon(f->apply);
	turns(f, 100);
	assert_false(pk_docs_is_stored(entry_of(f, "/p/a")));
	assert_true(*pk_apply_state(f->apply)->store_error.text);
	clock_ms += 5000;
	pk_apply_soon(f->apply);
	while (*pk_apply_state(f->apply)->store_error.text)
		turn(f);
	assert_true(pk_docs_is_stored(entry_of(f, "/p/a")));
	assert_int_equal(stat(kept.text, &st), 0);
	assert_true(S_ISREG(st.st_mode));
	close(f->gate[0]);
	close(f->gate[1]);
}

/* What the disk refused is tried again after a while, and said to be stored when it is. */
static void test_a_disk_that_refuses(void **state)
{
	struct fixture *f = *state;
	const struct pk_docs_look gone = { .of = "file", .has = has_none, .why = "gone" };
	own_str kept = { 0 };

	pk_loop_set_clock(f->loop, set_clock, NULL);
	pk_str_addf(&kept, "%s/file/a/kept", f->config.paths.policies);
	start(f);
	assert_int_equal(pk_fs_mkdirs(kept.text, 0700, NULL), 0); /* in the document's place */
	offer(f, "/p/a");
	until_revision(f, 2);
	while (!*pk_apply_state(f->apply)->store_error.text)
		turn(f);
	assert_false(pk_docs_is_stored(entry_of(f, "/p/a")));
	fake.passes = 0;
	turns(f, 100);
	assert_true(fake.passes <= 1); /* for the names alone */
	assert_false(pk_docs_is_stored(entry_of(f, "/p/a")));
	/* Mended, but nobody looks before it is time. */
	assert_int_equal(rmdir(kept.text), 0);
	*strrchr(kept.text, '/') = '\0';
	assert_int_equal(rmdir(kept.text), 0);
	pk_apply_soon(f->apply);
	turns(f, 100);
	assert_false(pk_docs_is_stored(entry_of(f, "/p/a")));
	clock_ms += 5000;
	pk_apply_soon(f->apply);
	while (!pk_docs_is_stored(entry_of(f, "/p/a")))
		turn(f);
	assert_true(has_file(f, "a"));
	assert_string_equal(pk_apply_state(f->apply)->store_error.text, "");

	/* The same of one that went: it is told of until its file is gone. */
	assert_int_equal(unlink(kept.text), 0);
	assert_int_equal(mkdir(kept.text, 0700), 0);
	assert_true(pk_docs_looked(f->docs, &gone));
	pk_apply_documents(f->apply);
	until_revision(f, 3);
	while (!*pk_apply_state(f->apply)->store_error.text)
		turn(f);
	assert_non_null(pk_docs_gone(f->docs, 0));
	assert_false(pk_docs_gone_is_stored(f->docs, pk_docs_gone(f->docs, 0)));
	assert_int_equal(rmdir(kept.text), 0);
	assert_int_equal(symlink("nowhere", kept.text), 0);
	clock_ms += 5000;
	pk_apply_soon(f->apply);
	while (pk_docs_gone(f->docs, 0))
		turn(f);
	assert_int_equal(unlink(kept.text), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_a_disk_that_hangs, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_disk_that_refuses, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_disk_that_lost_what_was_written, setup,
						teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
