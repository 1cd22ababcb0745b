/* SPDX-License-Identifier: Apache-2.0 */
/* Which looks at the records' directory are whole ones, by what the timer finds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs those above first */
#include <cmocka.h>
#include <fcntl.h>
#include <sys/resource.h>

/* Its timer comes each half a minute. */
#include "controller/model/records.c"

#define ID "7f3a21c4-1111-2222-3333-444455556666"

struct fixture {
	char dir[64];
	struct pk_paths paths;
	struct pk_settings settings;
	struct pk_docs *docs;
	struct pk_records_args args;
	struct pk_records *r;
	unsigned int changed;
};

static void on_changed(void *arg)
{
	struct fixture *f = arg;

	f->changed++;
}

/* A directory of a minute ago: its time says surely whether something came since. */
static void age(const struct fixture *f)
{
	const struct timespec times[] = { { .tv_sec = time(NULL) - 60 },
					  { .tv_sec = time(NULL) - 60 } };

	assert_int_equal(utimensat(AT_FDCWD, f->paths.endpoints, times, 0), 0);
}

static int setup(void **state)
{
	struct fixture *f = pk_alloc(sizeof(*f));
	struct pk_model_args model = { .settings = &f->settings };

	strcpy(f->dir, "/tmp/picket-records-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	assert_int_equal(pk_paths_init(&f->paths, f->dir, NULL), 0);
	pk_settings_init(&f->settings);
	model.docs = f->docs = pk_docs_new(NULL);
	f->args = (struct pk_records_args){ .loop = pk_loop_new(),
					    .paths = &f->paths,
					    .model = pk_model_new(&model),
					    .changed = on_changed,
					    .arg = f };
	f->r = pk_records_new(&f->args);
	age(f);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	static const char *const below[] = { "var/lib/picket/endpoints", "var/lib/picket",
					     "var/lib", "var", "" };
	struct fixture *f = *state;

	pk_records_free(f->r);
	pk_model_free(f->args.model);
	pk_docs_free(f->docs);
	pk_loop_free(f->args.loop);
	pk_settings_done(&f->settings);
	for (size_t i = 0; i < PK_ARRAY_LEN(below); i++) {
		own_str path = { 0 };

		pk_str_addf(&path, "%s/%s", f->dir, below[i]);
		assert_int_equal(rmdir(path.text), 0);
	}
	free(f);
	return 0;
}

static void test_the_same_directory_is_not_read_again(void **state)
{
	struct fixture *f = *state;

	on_timer(f->r);
	assert_true(f->r->looked && is_same(f->r));
}

static void test_one_that_could_not_be_read_is_read_again(void **state)
{
	struct fixture *f = *state;
	struct rlimit all, none;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &all), 0);
	none = (struct rlimit){ 0, all.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	on_timer(f->r);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &all), 0);
	assert_false(f->r->looked);
	assert_false(is_same(f->r));
	on_timer(f->r);
	assert_true(f->r->looked && is_same(f->r));
}

static void test_a_record_that_could_not_be_read_is_read_again(void **state)
{
	struct fixture *f = *state;
	own_str path = { 0 };

	pk_str_addf(&path, "%s/" ID "@eth0@1", f->paths.endpoints);
	assert_int_equal(symlink(path.text, path.text), 0); /* no file of it can be asked about */
	age(f);
	on_timer(f->r);
	assert_true(f->r->looked);
	assert_false(is_same(f->r));
	assert_int_equal(unlink(path.text), 0);
	age(f);
	on_timer(f->r);
	assert_true(is_same(f->r));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_the_same_directory_is_not_read_again, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_one_that_could_not_be_read_is_read_again,
						setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_record_that_could_not_be_read_is_read_again,
						setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
