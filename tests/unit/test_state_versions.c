/* SPDX-License-Identifier: Apache-2.0 */
/*
 * State of other releases: what 0.1 wrote is read (tests/golden/state-0.1 is a copy), and so is what a
 * newer one adds to it. What is no regular file is refused at once, and stops nothing else.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs those above first */
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "docstore.h"
#include "epstore.h"
#include "fs.h"
#include "own.h"
#include "record_json.h"
#include "settings.h"
#include "str.h"

#define GOLDEN "tests/golden/state-0.1/"

static char *text_of(const char *name, size_t *len)
{
	own_str path = { 0 };
	char *text;

	pk_str_addf(&path, GOLDEN "%s", name);
	assert_int_equal(pk_fs_read(path.text, 1u << 20, &text, len, NULL), 0);
	return text;
}

/* text with another one before its first `before`. */
static char *with(const char *text, const char *before, const char *more)
{
	const char *at = strstr(text, before);
	own_str out = { 0 };

	assert_non_null(at);
	pk_str_addn(&out, text, (size_t)(at - text));
	pk_str_add(&out, more);
	pk_str_add(&out, at);
	return pk_str_take(&out);
}

static void write_in(const char *dir, const char *name, const char *text)
{
	own_str path = { 0 };

	pk_str_addf(&path, "%s/%s", dir, name);
	assert_int_equal(pk_fs_write_quick(path.text, text, strlen(text), 0600, NULL), 0);
}

static void read_node(const char *dir, const char *text)
{
	struct pk_settings s;
	own_str path = { 0 };
	struct pk_err err = { 0 };

	write_in(dir, "node.json", text);
	pk_str_addf(&path, "%s/node.json", dir);
	pk_settings_init(&s);
	s.has_nomad = true;
	s.capacity = 1;
	if (pk_settings_read(&s, path.text, &err) < 0)
		fail_msg("%s", err.text);
	assert_false(s.has_nomad);
	assert_int_equal(s.capacity, 256);
	assert_int_equal(s.flow_budget, 4096);
	pk_settings_done(&s);
}

static void test_node_json(void **state)
{
	own_mem char *text = NULL, *newer = NULL, *deeper = NULL, *limits = NULL;
	const char *dir = *state;
	size_t len;

	text = text_of("node.json", &len);
	read_node(dir, text);
	newer = with(text, "\"nomad\"", "\"overlay\": { \"mode\": \"vxlan\" }, ");
	deeper = with(newer, "\"endpoints\"", "\"remotes\": 5, ");
	limits = with(deeper, "\"flowsPerEndpoint\"", "\"eventsPerSecond\": 5, ");
	read_node(dir, limits);
}

static void read_record(const char *text)
{
	own_record record = { 0 };
	struct pk_err err = { 0 };

	if (pk_record_decode("r", text, strlen(text), &record, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(record.slot, 1);
	assert_string_equal(record.tenant_name, "acme");
	assert_int_equal(record.host_ifindex, 3);
}

static void test_record(void **state)
{
	own_mem char *text = NULL, *newer = NULL;
	size_t len;

	(void)state;
	text = text_of("record.json", &len);
	read_record(text);
	newer = with(text, "\"slot\"", "\"remote\": { \"node\": \"n2\" }, ");
	read_record(newer);
}

static int on_document(void *arg, const struct pk_stored_doc *doc, struct pk_err *err)
{
	size_t *n = arg;

	(void)err;
	++*n;
	assert_string_equal(doc->source, "file");
	assert_string_equal(doc->name, "a");
	assert_string_equal(doc->path, "/etc/picket/policies.d/a.json");
	assert_ptr_equal(strstr(doc->text, "{"), doc->text);
	return 0;
}

static void on_bad(void *arg, const struct pk_stored_doc *doc, const struct pk_err *err)
{
	size_t *n = arg;

	(void)doc;
	assert_non_null(strstr(err->text, "regular"));
	n[1]++;
}

/* What a newer release may add is on the first line: a key of the document itself may be a denial. */
static void test_document(void **state)
{
	own_mem char *text = NULL, *newer = NULL;
	own_str dir = { 0 }, file = { 0 }, fifo = { 0 };
	size_t n[2] = { 0 }, len;

	pk_str_addf(&dir, "%s/policies", (char *)*state);
	pk_str_addf(&file, "%s/file", dir.text);
	assert_int_equal(pk_fs_mkdirs(file.text, 0700, NULL), 0);
	text = text_of("document", &len);
	write_in(file.text, "a", text);
	assert_int_equal(pk_docstore_walk(dir.text, on_document, on_bad, n, NULL), 0);
	newer = with(text, "\n", " index=17 sha=00");
	write_in(file.text, "a", newer);
	assert_int_equal(pk_docstore_walk(dir.text, on_document, on_bad, n, NULL), 0);
	assert_int_equal(n[0], 2);
	/* A FIFO among them is one that can't be read, and nobody waits for its writer. */
	pk_str_addf(&fifo, "%s/b", file.text);
	assert_int_equal(mkfifo(fifo.text, 0600), 0);
	assert_int_equal(pk_docstore_walk(dir.text, on_document, on_bad, n, NULL), 0);
	assert_int_equal(n[0], 3);
	assert_int_equal(n[1], 1);
}

static void test_only_regular_files(void **state)
{
	static const char *const kinds[] = { "fifo", "directory" };
	own_str fifo = { 0 }, directory = { 0 };
	const char *paths[2];

	pk_str_addf(&fifo, "%s/fifo", (char *)*state);
	pk_str_addf(&directory, "%s/directory", (char *)*state);
	assert_int_equal(mkfifo(fifo.text, 0600), 0);
	assert_int_equal(mkdir(directory.text, 0700), 0);
	paths[0] = fifo.text;
	paths[1] = directory.text;
	for (size_t i = 0; i < PK_ARRAY_LEN(paths); i++) {
		struct pk_err err = { 0 };
		struct pk_settings s;

		pk_settings_init(&s);
		if (pk_settings_read(&s, paths[i], &err) >= 0 || !strstr(err.text, "regular") ||
		    !*err.fix)
			fail_msg("%s: %s", kinds[i], err.text);
		pk_settings_done(&s);
	}
}

static int setup(void **state)
{
	char dir[] = "/tmp/pk-state-XXXXXX";

	/* Whoever waits for a FIFO's writer waits for ever. */
	alarm(60);
	*state = mkdtemp(dir) ? strdup(dir) : NULL;
	return *state ? 0 : -1;
}

static int teardown(void **state)
{
	own_str command = { 0 };
	int r;

	pk_str_addf(&command, "rm -r %s", (char *)*state);
	r = system(command.text);
	free(*state);
	return r;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_node_json, setup, teardown),
		cmocka_unit_test_setup_teardown(test_record, setup, teardown),
		cmocka_unit_test_setup_teardown(test_document, setup, teardown),
		cmocka_unit_test_setup_teardown(test_only_regular_files, setup, teardown),
	};

	return cmocka_run_group_tests_name("state of other releases", tests, NULL, NULL);
}
