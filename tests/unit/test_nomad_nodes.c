// SPDX-License-Identifier: Apache-2.0
/* Nomad's answer about nodes: this one's own facts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs those above first */
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "controller/sources/nomad_reader.h"
#include "fs.h"
#include "own.h"

static int find_node(const char *text, const char *name, struct pk_nomad_node *out,
		     struct pk_err *err)
{
	struct pk_node_reader *reader = pk_node_reader_new(name);
	int r = 0;

	for (size_t at = 0; text[at] && r == 0; at++)
		r = pk_node_reader_feed(reader, text + at, 1, err);
	if (r == 0)
		r = pk_node_reader_end(reader, out, err);
	pk_node_reader_free(reader);
	return r;
}

static void test_nodes(void **state)
{
	static const char nodes[] =
		"[{\"ID\": \"11111111-0000-0000-0000-000000000001\", \"Name\": "
		"\"vm\", \"Status\": \"down\"},"
		"{\"ID\": \"11111111-0000-0000-0000-000000000002\", \"Name\": "
		"\"vm\", \"Status\": \"ready\","
		" \"Datacenter\": \"dc1\", \"NodePool\": \"default\"},"
		"{\"ID\": \"11111111-0000-0000-0000-000000000003\", \"Name\": "
		"\"two\", \"Status\": \"ready\"},"
		"{\"ID\": \"11111111-0000-0000-0000-000000000004\", \"Name\": "
		"\"two\", \"Status\": \"ready\"},"
		"{\"ID\": \"an id that is longer than those of Nomad ever are\", \"Name\": "
		"\"bad\", \"Status\": \"ready\"}]";
	struct pk_nomad_node n;
	struct pk_err err = { 0 };

	(void)state;
	assert_int_equal(find_node(nodes, "vm", &n, NULL), 0);
	assert_string_equal(n.id, "11111111-0000-0000-0000-000000000002");
	assert_string_equal(n.datacenter, "dc1");
	assert_int_equal(find_node(nodes, "11111111-0000-0000-0000-000000000004", &n, NULL), 0);
	assert_true(find_node(nodes, "two", &n, &err) < 0);
	assert_non_null(strstr(err.text, "2 ready nodes"));
	assert_true(find_node(nodes, "bad", &n, &err) < 0);
	assert_non_null(strstr(err.text, "ID"));
	assert_true(find_node(nodes, "none", &n, NULL) < 0);
	assert_true(find_node("{}", "vm", &n, NULL) < 0);
	assert_true(find_node("[{}", "vm", &n, NULL) < 0);
}

static void test_recorded_nodes(void **state)
{
	own_mem char *text = NULL;
	struct pk_nomad_node node;
	size_t n;

	(void)state;
	assert_int_equal(pk_fs_read("tests/recorded/nomad-nodes.json", 1 << 20, &text, &n, NULL),
			 0);
	assert_int_equal(find_node(text, "rec", &node, NULL), 0);
	assert_int_equal(strlen(node.id), 36);
	assert_string_equal(node.pool, "default");
}
int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nodes),
		cmocka_unit_test(test_recorded_nodes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
