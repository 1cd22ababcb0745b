/* SPDX-License-Identifier: Apache-2.0 */
/* POST /v1/policies/release over a policy directory of many files, with an exchange that is none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs those above first */
#include <cmocka.h>
#include <event2/event.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "controller/api/api.h"
#include "controller/parts.h"
#include "own.h"

#define MANY 2000
#define TEXT "[{\"endpointSelector\": {}, \"ingress\": [{}]}]"

static struct fixture {
	struct pk_parts parts;
	char dir[32];
	unsigned int released;
	size_t known; /* documents at the release */
	bool any;     /* something is held */
	int status;   /* of the answer; 0: none yet */
	pk_loop_fn *on_close;
	void *on_close_arg;
} f;

int pk_api_read_body(struct pk_exchange *x, const char *const keys[], struct pk_json_doc **doc,
		     struct pk_err *err)
{
	static const char body[] = "{\"what\": \"file\"}";

	(void)x, (void)keys;
	return pk_json_parse("the body", body, strlen(body), PK_JSON_RELAXED, doc, err);
}

void pk_exchange_reply(struct pk_exchange *x, int status, const struct pk_str *json)
{
	(void)x;
	assert_int_equal(f.status, 0);
	assert_string_equal(json->text, "{\"released\":[]}");
	f.status = status;
}

void pk_exchange_error(struct pk_exchange *x, int status, const char *error, const char *fix)
{
	(void)x;
	assert_int_equal(f.status, 0);
	assert_true(*error && *fix);
	f.status = status;
}

void pk_exchange_on_close(struct pk_exchange *x, pk_loop_fn *fn, void *arg)
{
	(void)x;
	f.on_close = fn;
	f.on_close_arg = arg;
}

static bool release(void *arg, const char *what, pk_release_fn *fn, void *fn_arg)
{
	(void)arg, (void)fn, (void)fn_arg;
	assert_string_equal(what, "file");
	f.released++;
	f.known = pk_docs_count(f.parts.docs);
	return f.any;
}

static void nothing(void *arg)
{
	(void)arg;
}

static void on_looked(void *arg)
{
	(void)arg;
	pk_api_release_looked(&f.parts);
}

/* Another directory of many files has the name by now. */
static void put_many(void)
{
	char other[] = "/tmp/pk-release-XXXXXX";

	assert_non_null(mkdtemp(other));
	for (int i = 0; i < MANY; i++) {
		char path[64];
		own_fd int fd = -1;

		snprintf(path, sizeof(path), "%s/d%04d.json", other, i);
		fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
		assert_int_equal(write(fd, TEXT, strlen(TEXT)), (ssize_t)strlen(TEXT));
	}
	assert_int_equal(rmdir(f.dir), 0);
	assert_int_equal(rename(other, f.dir), 0);
}

static int setup(void **state)
{
	(void)state;
	f = (struct fixture){ .dir = "/tmp/pk-release-XXXXXX", .any = true };
	assert_non_null(mkdtemp(f.dir));
	f.parts.loop = pk_loop_new();
	f.parts.docs = pk_docs_new(NULL);
	f.parts.release = release;
	f.parts.files = pk_files_new(f.parts.loop, f.parts.docs, f.dir, nothing, NULL);
	pk_files_on_look(f.parts.files, on_looked, NULL);
	pk_files_look(f.parts.files);
	return 0;
}

static int teardown(void **state)
{
	own_str command = { 0 };

	(void)state;
	pk_api_release_stop();
	pk_files_free(f.parts.files);
	pk_docs_free(f.parts.docs);
	pk_loop_free(f.parts.loop);
	pk_str_addf(&command, "rm -r %s", f.dir);
	assert_int_equal(system(command.text), 0);
	return 0;
}

static void ask(void)
{
	pk_api_release(&f.parts, (struct pk_exchange *)&f);
}

/* Returns how many turns of the loop there were until something was released. */
static size_t turns(void)
{
	size_t n = 0;

	for (; !f.released; n++)
		event_base_loop(pk_loop_base(f.parts.loop), EVLOOP_ONCE);
	return n;
}

static void test_at_once_where_nothing_is_new(void **state)
{
	(void)state;
	ask();
	assert_int_equal(f.released, 1);
	assert_int_equal(f.status, 200);
	f.any = false;
	f.status = 0;
	ask();
	assert_int_equal(f.status, 404);
}

/* Many new files are read in turns, and the release is judged by all of them. */
static void test_many_are_read_in_turns(void **state)
{
	(void)state;
	put_many();
	ask();
	assert_int_equal(f.released, 0);
	assert_int_equal(f.status, 0);
	assert_in_range(turns(), MANY * 16 / PK_DOCS_TURN, 2 * MANY * 16 / PK_DOCS_TURN);
	assert_int_equal(f.known, MANY);
	assert_int_equal(f.released, 1);
	assert_int_equal(f.status, 200);
}

/* Whoever asked goes meanwhile: what was said counts, and nobody is answered. */
static void test_who_asked_is_gone(void **state)
{
	(void)state;
	put_many();
	ask();
	f.on_close(f.on_close_arg);
	turns();
	assert_int_equal(f.known, MANY);
	assert_int_equal(f.status, 0);
}

/* A reload names another directory meanwhile, or picketd ends. */
static void test_the_directory_goes(void **state)
{
	(void)state;
	put_many();
	ask();
	pk_api_release_stop();
	assert_int_equal(f.status, 503);
	pk_files_look(f.parts.files);
	assert_int_equal(f.released, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_at_once_where_nothing_is_new, setup, teardown),
		cmocka_unit_test_setup_teardown(test_many_are_read_in_turns, setup, teardown),
		cmocka_unit_test_setup_teardown(test_who_asked_is_gone, setup, teardown),
		cmocka_unit_test_setup_teardown(test_the_directory_goes, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
