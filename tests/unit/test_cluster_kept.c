/* SPDX-License-Identifier: Apache-2.0 */
/* What was heard is handed over to the writer in turns of the loop, in the order of its coming. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs those above first */
#include <cmocka.h>
#include <stdlib.h>

#include "cluster_private.h"
#include "fs.h"
#include "own.h"
#include "tests/unit/virtual_loop.h"

#define LONG_NS 11000000 /* longer than a turn may take */

static char handed[200];
static size_t n_handed, served_at;

static void hand(const char *what, const char *path)
{
	const uint64_t until = pk_now_ns() + LONG_NS;
	const size_t len = strlen(handed);

	while (pk_now_ns() < until)
		;
	snprintf(handed + len, sizeof(handed) - len, "%s %s\n", what, path);
	n_handed++;
}

void pk_writer_file(struct pk_writer *writer, const char *path, const char *text, size_t len)
{
	(void)writer;
	assert_int_equal(strlen(text), len);
	hand(text, path);
}

void pk_writer_unlink(struct pk_writer *writer, const char *path)
{
	(void)writer;
	hand("-", path);
}

static void serve_another(void *arg)
{
	(void)arg;
	served_at = n_handed;
}

static void keep(struct pk_cluster *c, const char *key, char *text)
{
	const struct pk_kv kv = { .value = text, .len = strlen(text), .created = 7 };

	cluster_keep(c, key, &kv);
}

static void test_in_turns(void **state)
{
	struct pk_cluster c = { .directory = (char[]){ "d" } };
	struct pk_loop *loop = pk_loop_new();
	struct pk_timer *t = pk_timer_new(loop, serve_another, NULL);

	(void)state;
	STAILQ_INIT(&c.kept);
	c.keep = pk_timer_new(loop, cluster_hand_over, &c);
	keep(&c, "nodes/a", (char[]){ "A" });
	cluster_unkeep(&c, "nodes/a");
	keep(&c, "nodes/b", (char[]){ "B" });
	assert_int_equal(n_handed, 0);
	pk_timer_set(t, 0);
	pass(loop, 0);
	assert_string_equal(handed, "7 nodes/a\nA d/nodes%2Fa\n- d/nodes%2Fa\n7 nodes/b\nB "
				    "d/nodes%2Fb\n");
	assert_int_equal(served_at, 1);
	/* At an end nothing is left. */
	keep(&c, "nodes/c", (char[]){ "C" });
	keep(&c, "nodes/d", (char[]){ "D" });
	cluster_hand_over_all(&c);
	assert_int_equal(n_handed, 5);
	pk_timer_free(c.keep);
	pk_timer_free(t);
	pk_loop_free(loop);
}

int main(void)
{
	static const struct CMUnitTest tests[] = { cmocka_unit_test(test_in_turns) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
