/* SPDX-License-Identifier: Apache-2.0 */
/* Nomad's answers: what is taken of an alloc, what refuses one alone, what none can make us keep.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs those above first */
#include <cmocka.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controller/sources/nomad_reader.h"
#include "fs.h"
#include "nomad_texts.h"
#include "own.h"
#include "unit/many.h"
#include "unit/nomad_tree.h"

#define BAD_ALLOC ALLOC_BAD_HEAD " \"Job\": {\"TaskGroups\": 5}}"
#define ALLOC_BAD_HEAD                                                                             \
	"{\"ID\": \"bad\", \"Namespace\": \"evil\", \"TaskGroup\": \"g\", \"JobID\": \"j\","

static int read_pieces(const char *text, size_t n, size_t piece, struct pk_allocs *out,
		       struct pk_err *err)
{
	struct pk_alloc_reader *reader = pk_alloc_reader_new(PK_READ_ALLOCS);
	int r = 0;

	*out = (struct pk_allocs){ 0 };
	for (size_t at = 0; at < n && r == 0; at += piece)
		r = pk_alloc_reader_feed(reader, text + at, n - at < piece ? n - at : piece, err);
	if (r == 0)
		r = pk_alloc_reader_end(reader, out, err);
	pk_alloc_reader_free(reader);
	return r;
}

static int read_list(const char *text, struct pk_allocs *out)
{
	return read_pieces(text, strlen(text), 1 << 14, out, NULL);
}

static void test_alloc(void **state)
{
	struct pk_alloc a;
	struct pk_err err = { 0 };

	(void)state;
	if (pk_alloc_decode(ALLOC, strlen(ALLOC), &a, &err) < 0)
		fail_msg("%s", err.text);
	assert_string_equal(a.job, "api");
	assert_string_equal(a.job_id, "api/dispatch-1");
	assert_string_equal(a.group, "web");
	assert_int_equal(a.n_ports, 2);
	assert_int_equal(a.ports[0].own, 22);
	assert_int_equal(a.ports[1].own, 21570); /* no "to": the same port */
	assert_int_equal(a.n_meta, 3);
	assert_string_equal(a.meta[0].value, "web"); /* the group's word over the job's */
	assert_true(a.meta[2].unknown);
	assert_int_equal(a.n_services, 2);
	assert_int_equal(a.n_checks, 3); /* ssh, raw, 8080; no script */
	assert_int_equal(a.checks[0], 22);
	assert_int_equal(a.checks[1], 21570);
	assert_int_equal(a.checks[2], 8080);
	assert_false(a.terminal);
	pk_alloc_done(&a);
}

/* What a group's network block says of resolvers and search list; another group's is nobody's. */
static void test_dns(void **state)
{
	static const struct {
		const char *networks, *servers, *search;
	} list[] = {
		{ "[{\"DNS\":{\"Servers\":[\"10.0.0.53\",\"fd00::53\"],\"Searches\":[\"a.b\",\"c\"],"
		  "\"Options\":[\"ndots:2\"]}}]",
		  "10.0.0.53 fd00::53", "a.b c" },
		{ "[{\"DNS\":{\"Servers\":[\"10.0.0.53\"],\"Searches\":null}}]", "10.0.0.53",
		  NULL },
		{ "[{\"DNS\":{\"Servers\":null,\"Searches\":[\"a.b\"]}}]", NULL, "a.b" },
		{ "[{\"DNS\":null}]", NULL, NULL },
		{ "[{\"DNS\":{\"Servers\":[\"\",\"1 2\",\"x\"]}}]", "x", NULL },
		{ "null", NULL, NULL },
	};
	char text[700];

	(void)state;
	for (size_t i = 0; i < PK_ARRAY_LEN(list); i++) {
		struct pk_alloc a, *kept;
		struct pk_err err = { 0 };

		snprintf(text, sizeof(text),
			 ALLOC_HEAD_OK
			 " \"Job\": {\"TaskGroups\": [{\"Name\": \"other\", \"Networks\": "
			 "[{\"DNS\":{\"Servers\":[\"192.0.2.9\"]}}]}, {\"Name\": \"web\", "
			 "\"Networks\": %s}]}}",
			 list[i].networks);
		if (pk_alloc_decode(text, strlen(text), &a, &err) < 0)
			fail_msg("%zu: %s", i, err.text);
		kept = pk_alloc_copy(&a); /* through what is kept on the disk */
		assert_non_null(kept);
		assert_true(pk_alloc_equal(&a, kept));
		for (int k = 0; k < 2; k++) {
			const struct pk_alloc *one = k ? kept : &a;

			assert_int_equal(!list[i].servers, !one->dns_servers);
			assert_int_equal(!list[i].search, !one->dns_search);
			if (list[i].servers)
				assert_string_equal(one->dns_servers, list[i].servers);
			if (list[i].search)
				assert_string_equal(one->dns_search, list[i].search);
		}
		pk_alloc_done(kept);
		free(kept);
		pk_alloc_done(&a);
	}
}

/* What it says of a host name; more than one has is none. */
static void test_hostname(void **state)
{
	static const struct {
		const char *networks, *is;
	} list[] = {
		{ "[{\"DNS\":null,\"Hostname\":\"mail.corp\"}]", "mail.corp" },
		{ "[{\"Hostname\":\"\"}]", NULL },
		{ "[{\"Hostname\":\"012345678901234567890123456789012345678901234567890123456789abc\"}]",
		  "012345678901234567890123456789012345678901234567890123456789abc" },
		{ "[{\"Hostname\":\"0123456789012345678901234567890123456789012345678901234567890abc\"}]",
		  NULL },
		{ "null", NULL },
	};
	char text[700];

	(void)state;
	for (size_t i = 0; i < PK_ARRAY_LEN(list); i++) {
		struct pk_alloc a, *kept;
		struct pk_err err = { 0 };

		snprintf(text, sizeof(text),
			 ALLOC_HEAD_OK " \"Job\": {\"TaskGroups\": [{\"Name\": \"web\", "
				       "\"Networks\": %s}]}}",
			 list[i].networks);
		if (pk_alloc_decode(text, strlen(text), &a, &err) < 0)
			fail_msg("%zu: %s", i, err.text);
		kept = pk_alloc_copy(&a); /* through what is kept on the disk */
		assert_non_null(kept);
		assert_true(pk_alloc_equal(&a, kept));
		assert_int_equal(!list[i].is, !kept->hostname);
		if (list[i].is)
			assert_string_equal(kept->hostname, list[i].is);
		pk_alloc_done(kept);
		free(kept);
		pk_alloc_done(&a);
	}
}

static void test_alloc_bad(void **state)
{
	static const char *const bad[] = {
		"",
		"[]",
		"null",
		"{\"ID\": \"x\"}",
		ALLOC_HEAD_OK " \"Job\": null}",
		ALLOC_HEAD_OK " \"Job\": {\"TaskGroups\": [{\"Name\": \"db\"}]}}",
		ALLOC_HEAD_OK " \"Job\": {\"TaskGroups\": 5}}",
		ALLOC "x",
	};
	struct pk_alloc a;

	(void)state;
	for (size_t i = 0; i < PK_ARRAY_LEN(bad); i++)
		if (pk_alloc_decode(bad[i], strlen(bad[i]), &a, NULL) == 0)
			fail_msg("taken: %s", bad[i]);
}

/* What is kept over a restart says the same as what Nomad said. */
static void test_alloc_kept(void **state)
{
	struct pk_alloc a, *b;

	(void)state;
	assert_int_equal(pk_alloc_decode(ALLOC, strlen(ALLOC), &a, NULL), 0);
	b = pk_alloc_copy(&a);
	assert_non_null(b);
	assert_true(pk_alloc_equal(&a, b));
	assert_int_equal(b->n_checks, a.n_checks);
	assert_true(b->meta[2].unknown);
	assert_string_equal(b->job, "api");
	pk_alloc_done(b);
	assert_int_equal(pk_alloc_decode(OTHER_ALLOC, strlen(OTHER_ALLOC), b, NULL), 0);
	assert_false(pk_alloc_equal(&a, b));
	pk_alloc_done(b);
	free(b);
	pk_alloc_done(&a);
}

/* A list: each is taken or refused by itself. */
static void test_allocs(void **state)
{
	static const char half[] = "[" ALLOC ", {}, " BAD_ALLOC ", " ALLOC "]";
	struct pk_allocs list;

	(void)state;
	assert_int_equal(read_list("[" ALLOC "," ALLOC "]", &list), 0);
	assert_int_equal(list.n, 2);
	assert_int_equal(list.n_refused, 0);
	pk_allocs_done(&list);
	assert_int_equal(read_list(half, &list), 0);
	assert_int_equal(list.n, 4);
	assert_int_equal(list.n_refused, 2);
	assert_true(list.nameless);
	assert_string_equal(list.list[0].group, "web");
	assert_string_equal(list.list[1].id, "");
	assert_string_equal(list.list[2].id, "bad");
	assert_non_null(strstr(list.list[2].refused, "TaskGroups"));
	assert_null(list.list[2].tenant_name);
	assert_null(list.list[3].refused);
	pk_allocs_done(&list);
	assert_int_equal(read_list("[]", &list), 0);
	assert_true(read_list("{}", &list) < 0);
	assert_true(read_list("[", &list) < 0);
	assert_true(read_list("[" ALLOC, &list) < 0);
}

/* Only those that live have a say, and only they can be refused. */
static void test_terminal(void **state)
{
	struct pk_allocs list;

	(void)state;
	assert_int_equal(read_list("[{\"ID\": \"a\", \"ClientStatus\": \"complete\"},"
				   "{\"ID\": \"b\", \"ClientStatus\": \"failed\", \"Job\": 5},"
				   "{\"ClientStatus\": \"lost\", \"ID\": \"c\"}, " ALLOC "]",
				   &list),
			 0);
	assert_int_equal(list.n, 1);
	assert_int_equal(list.n_terminal, 3);
	assert_int_equal(list.n_refused, 0);
	assert_false(list.nameless);
	pk_allocs_done(&list);
}

/* What a real Nomad 1.11.2 said, read in pieces and from its tree. */
static void test_recorded(void **state)
{
	own_mem char *text = NULL;
	struct pk_allocs tree, list;
	size_t n, live = 0;

	(void)state;
	assert_int_equal(
		pk_fs_read("tests/recorded/nomad-allocations.json", 1 << 20, &text, &n, NULL), 0);
	assert_int_equal(tree_allocs(text, n, &tree, NULL), 0);
	assert_int_equal(tree.n, 3);
	for (size_t piece = 1; piece < 5000; piece = piece * 3 + 1) {
		assert_int_equal(read_pieces(text, n, piece, &list, NULL), 0);
		assert_int_equal(list.n_refused, 0);
		live = 0;
		for (size_t i = 0; i < tree.n; i++)
			if (!tree.list[i].terminal)
				assert_true(tree_equal(&tree.list[i], &list.list[live++]));
		assert_int_equal(list.n, live);
		assert_int_equal(list.n_terminal, tree.n - live);
		pk_allocs_done(&list);
	}
	assert_int_equal(live, 2);
	assert_string_equal(tree.list[0].group, "web");
	assert_true(tree.list[0].services_unknown);
	pk_allocs_done(&tree);
}

/* A job's text around what is the same in all of them. */
static char *job_with(const char *meta, const char *services, const char *more)
{
	char *text;

	if (asprintf(&text,
		     "{\"ClientStatus\": \"running\", \"ID\": \"x\", \"Job\": {\"ID\": \"j\", "
		     "\"Meta\": "
		     "{%s}, \"TaskGroups\": [{\"Name\": \"g\", \"Services\": [%s]}]}, \"JobID\": "
		     "\"j\", \"Namespace\": \"acme\", \"TaskGroup\": \"g\"%s}",
		     meta, services, more) < 0)
		abort();
	return text;
}

static void check_job(const char *meta, const char *services, const char *more,
		      const struct pk_alloc *want)
{
	own_mem char *text = job_with(meta, services, more);
	struct pk_alloc a;
	struct pk_err err = { 0 };
	int r = pk_alloc_decode(text, strlen(text), &a, &err);

	if ((r < 0) != (want == NULL))
		fail_msg("%.200s…: %s", text, err.text);
	if (r < 0)
		return;
	assert_int_equal(a.n_meta, want->n_meta);
	assert_int_equal(a.n_services, want->n_services);
	assert_int_equal(a.n_checks, want->n_checks);
	if ((a.labels_refused != NULL) != (want->labels_refused != NULL))
		fail_msg("%.200s…: %s", text, a.labels_refused ?: "no reason");
	pk_alloc_done(&a);
}

/* 64 labels of together 4 KiB are taken, one more or one byte more leaves the alloc without any. */
static void test_label_budget(void **state)
{
	own_mem char *most = many(64, "\"k%02u\": \"v\"");
	own_mem char *over = many(65, "\"k%02u\": \"v\"");
	own_mem char *huge = many(60000, "\"k%u\": \"v\"");
	own_mem char *some = many(60, "\"k%02u\": \"v\"");
	own_mem char *services = many(4, "{\"Name\": \"s%u\", \"Checks\": [{\"Type\": \"tcp\", "
					 "\"PortLabel\": \"80\"}]}");
	own_mem char *more = many(5, "{\"Name\": \"s%u\"}");
	char full[5000], longer[5000];

	(void)state;
	memset(full, 'v', sizeof(full));
	memcpy(full, "\"key\": \"", 8);
	strcpy(full + 8 + PK_ALLOC_LABEL_BYTES_MAX - 3, "\"");
	memset(longer, 'v', sizeof(longer));
	memcpy(longer, "\"key\": \"", 8);
	strcpy(longer + 8 + PK_ALLOC_LABEL_BYTES_MAX - 2, "\"");
	check_job(most, "", "", &(struct pk_alloc){ .n_meta = 64 });
	check_job(over, "", "", &(struct pk_alloc){ .labels_refused = (char *)"" });
	check_job(huge, "", "", &(struct pk_alloc){ .labels_refused = (char *)"" });
	check_job(some, services, "",
		  &(struct pk_alloc){ .n_meta = 60, .n_services = 4, .n_checks = 1 });
	check_job(some, more, "", &(struct pk_alloc){ .labels_refused = (char *)"" });
	check_job(full, "", "", &(struct pk_alloc){ .n_meta = 1 });
	check_job(longer, "", "", &(struct pk_alloc){ .labels_refused = (char *)"" });
}

static void test_ports(void **state)
{
	static const struct {
		const char *value;
		uint16_t want;
	} rows[] = { { "1", 1 }, { "65535", 65535 }, { "0", 0 }, { "65536", 0 }, { "-1", 0 } };

	(void)state;
	for (size_t i = 0; i < PK_ARRAY_LEN(rows); i++) {
		own_str more = { 0 };
		own_mem char *text = NULL;
		struct pk_alloc a;

		pk_str_addf(
			&more,
			", \"AllocatedResources\": {\"Shared\": {\"Ports\": [{\"Label\": \"x\", "
			"\"Value\": %s, \"To\": 80}]}}",
			rows[i].value);
		text = job_with("", "", more.text);
		assert_int_equal(pk_alloc_decode(text, strlen(text), &a, NULL), 0);
		assert_int_equal(a.n_ports ? a.ports[0].host : 0, rows[i].want);
		pk_alloc_done(&a);
	}
}

/* Labels of ports that no shorter JSON can have; `each` bytes of `n`. Frees nothing. */
static char *job_with_ports(size_t n, size_t each)
{
	own_str more = { 0 };

	pk_str_add(&more, ", \"AllocatedResources\": {\"Shared\": {\"Ports\": [");
	for (size_t i = 0; i < n; i++) {
		pk_str_addf(&more, "%s{\"Value\": %zu, \"Label\": \"%04zu", i ? "," : "", i + 1, i);
		for (size_t k = 4; k < each; k++)
			pk_str_add(&more, "\\u0001");
		pk_str_add(&more, "\"}");
	}
	pk_str_add(&more, "]}}");
	return job_with("", "", more.text);
}

/* What is taken is kept for a restart without Nomad, and read again: so it is no longer than a file may be. */
static void test_the_longest_facts_are_read_again(void **state)
{
	own_mem char *most =
		job_with_ports(PK_ALLOC_PORTS_MAX, PK_ALLOC_PORT_BYTES_MAX / PK_ALLOC_PORTS_MAX);
	own_mem char *more = job_with_ports(PK_ALLOC_PORTS_MAX, PK_ALLOC_NAME_MAX);
	struct pk_alloc a, again;
	own_str kept = { 0 };

	(void)state;
	assert_int_equal(pk_alloc_decode(most, strlen(most), &a, NULL), 0);
	assert_int_equal(a.n_ports, PK_ALLOC_PORTS_MAX);
	pk_alloc_encode(&a, &kept);
	assert_true(kept.len > PK_JSON_MAX / 2 && kept.len < PK_JSON_MAX);
	assert_int_equal(pk_alloc_decode(kept.text, kept.len, &again, NULL), 0);
	assert_true(pk_alloc_equal(&a, &again));
	pk_alloc_done(&a);
	pk_alloc_done(&again);
	assert_true(pk_alloc_decode(more, strlen(more), &a, NULL) < 0);
}

/* What is kept is wrong: this alloc, and no other, is refused. */
static void test_refused(void **state)
{
	own_mem char *checks =
		many(PK_ALLOC_CHECKS_MAX + 1, "{\"Type\": \"tcp\", \"PortLabel\": \"%u\"}");
	own_mem char *service = NULL;
	static const char *const metas[] = { "\"a\": 5", "\"a\": \"x\", \"a\": \"y\"",
					     "\"a\": {\"b\": \"c\"}", "\"a\": \"\xff\"" };
	static const char *const more[] = { ", \"ID\": \"y\"", ", \"NodeID\": 7",
					    ", \"AllocatedResources\": []",
					    (", \"AllocatedResources\": {\"Shared\": {\"Ports\": "
					     "[{\"Value\": \"80\"}]}}") };

	(void)state;
	for (size_t i = 0; i < PK_ARRAY_LEN(metas); i++)
		check_job(metas[i], "", "", NULL);
	for (size_t i = 0; i < PK_ARRAY_LEN(more); i++)
		check_job("", "", more[i], NULL);
	check_job("", "{\"Name\": 5}", "", NULL);
	check_job("", "{\"Name\": \"a\", \"Checks\": {}}", "", NULL);
	if (asprintf(&service, "{\"Name\": \"a\", \"Checks\": [%s]}", checks) < 0)
		abort();
	check_job("", service, "", NULL);
	check_job("", "", ", \"unknown\": {]}", NULL);
}

/* That labels were refused is kept with the facts. */
static void test_refusal_kept(void **state)
{
	own_mem char *over = many(65, "\"k%02u\": \"v\"");
	own_mem char *text = job_with(over, "", "");
	struct pk_alloc a, *b;

	(void)state;
	assert_int_equal(pk_alloc_decode(text, strlen(text), &a, NULL), 0);
	b = pk_alloc_copy(&a);
	assert_non_null(b);
	assert_string_equal(b->labels_refused, a.labels_refused);
	assert_non_null(strstr(a.labels_refused, "65 labels"));
	assert_true(pk_alloc_equal(&a, b));
	pk_alloc_done(b);
	free(b);
	pk_alloc_done(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_dns),
		cmocka_unit_test(test_hostname),
		cmocka_unit_test(test_alloc),
		cmocka_unit_test(test_alloc_bad),
		cmocka_unit_test(test_alloc_kept),
		cmocka_unit_test(test_allocs),
		cmocka_unit_test(test_terminal),
		cmocka_unit_test(test_recorded),
		cmocka_unit_test(test_label_budget),
		cmocka_unit_test(test_ports),
		cmocka_unit_test(test_the_longest_facts_are_read_again),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_refusal_kept),
	};

	return cmocka_run_group_tests_name("controller: Nomad's answers", tests, NULL, NULL);
}
