/* SPDX-License-Identifier: Apache-2.0 */
/* Metrics' names and lines, sums of counters that go, what the plugin counts. */
#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "controller/api/metrics.h"
#include "controller/flows/traffic.h"
#include "own.h"
#include "verb_counts.h"

static const struct {
	const char *name, *type, *labels, *help;
} table[] = {
#define ROW_(sym, name, type, labels, help) { name, #type, labels, help },
	PK_METRICS(ROW_)
};

static bool ends(const char *text, const char *with)
{
	size_t n = strlen(text), m = strlen(with);

	return n >= m && strcmp(text + n - m, with) == 0;
}

static void test_names(void **state)
{
	(void)state;
	for (size_t i = 0; i < PK_ARRAY_LEN(table); i++) {
		const char *name = table[i].name;
		bool counter = strcmp(table[i].type, "counter") == 0;

		if (strncmp(name, "picket_", 7) != 0 && strncmp(name, "process_", 8) != 0)
			fail_msg("%s is nobody's", name);
		if (strspn(name, "abcdefghijklmnopqrstuvwxyz_") != strlen(name))
			fail_msg("%s", name);
		if (counter != ends(name, "_total"))
			fail_msg("%s is a %s", name, table[i].type);
		if (!ends(table[i].help, ".") || strchr(table[i].help, '\n') ||
		    strchr(table[i].help, '\\'))
			fail_msg("%s: \"%s\"", name, table[i].help);
		for (size_t j = 0; j < i; j++)
			assert_string_not_equal(name, table[j].name);
	}
}

static void test_values_are_escaped(void **state)
{
	own_str out = { 0 };

	(void)state;
	pk_metric_uint(&out, PK_METRIC_JOB_BYTES, "",
		       PK_METRIC_LABELS({ "namespace", "a\"b\\c\nd" },
					{ "nomad_job", "x\xff\xc3(\xc3\xa4" }),
		       7);
	pk_metric_double(&out, PK_METRIC_APPLY, "", NULL, 0.5);
	assert_string_equal(out.text, "picket_job_bytes_total{namespace=\"a\\\"b\\\\c\\nd\","
				      "nomad_job=\"x\xef\xbf\xbd\xef\xbf\xbd(\xc3\xa4\"} 7\n"
				      "picket_policy_apply_seconds 0.5\n");
	pk_str_reset(&out);
	pk_metric_head(&out, PK_METRIC_APPLY);
	assert_non_null(strstr(out.text, "# HELP picket_policy_apply_seconds How long "));
	assert_non_null(strstr(out.text, "\n# TYPE picket_policy_apply_seconds gauge\n"));
}

/* -- traffic */

#define SINCE 1000

static struct pk_local_endpoint endpoint(const char *key, const char *tenant_name, const char *job)
{
	static uint64_t fed;

	return (struct pk_local_endpoint){ .key = (char *)(uintptr_t)key,
					   .tenant_name = (char *)(uintptr_t)tenant_name,
					   .job = (char *)(uintptr_t)job,
					   .added = SINCE,
					   .confirmed = PK_BELIEVED,
					   .fed = ++fed };
}

static void take(struct pk_traffic *t, uint32_t slot, const struct pk_local_endpoint *ep,
		 uint64_t allowed, uint64_t denied)
{
	struct pk_traffic_read read = { .lost = 3 * denied };

	read.row[PK_EGRESS][PK_REASON_OK] = (struct pk_counter){ allowed, 100 * allowed };
	read.row[PK_INGRESS][PK_REASON_POLICY_DENIED] = (struct pk_counter){ denied, 60 * denied };
	pk_traffic_take(t, slot, ep, &read);
}

static const struct pk_traffic_job *job_named(const struct pk_traffic *t, const char *tenant_name,
					      const char *job)
{
	const struct pk_traffic_job *found;

	for (size_t i = 0; (found = pk_traffic_job(t, i)); i++)
		if (strcmp(found->tenant_name, tenant_name) == 0 && strcmp(found->job, job) == 0)
			return found;
	return NULL;
}

#define assert_job(t, tenant_name, name, allowed, denied)                                          \
	do {                                                                                       \
		const struct pk_traffic_job *j_ = job_named(t, tenant_name, name);                 \
		assert_non_null(j_);                                                               \
		assert_int_equal(j_->sum[PK_EGRESS][0].packets, allowed);                          \
		assert_int_equal(j_->sum[PK_INGRESS][1].packets, denied);                          \
		assert_int_equal(j_->sum[PK_EGRESS][0].bytes, 100 * (allowed));                    \
		assert_int_equal(j_->lost, 3 * (denied));                                          \
	} while (0)

static uint64_t node_allowed(const struct pk_traffic *t)
{
	return pk_traffic_sum(t, PK_EGRESS, PK_REASON_OK)->packets;
}

/* One endpoint of two goes: what it counted stays in the job's sum and in the node's. */
static void test_sums_only_grow(void **state)
{
	struct pk_traffic *t = pk_traffic_new(SINCE);
	struct pk_local_endpoint a = endpoint("a@eth0", "acme", "api");
	struct pk_local_endpoint b = endpoint("b@eth0", "acme", "api");

	(void)state;
	take(t, 1, &a, 10, 1);
	take(t, 2, &b, 5, 0);
	assert_job(t, "acme", "api", 15, 1);
	take(t, 1, NULL, 12, 1); /* read once more as it went */
	assert_job(t, "acme", "api", 17, 1);
	take(t, 1, NULL, 0, 0); /* its slot is free */
	assert_job(t, "acme", "api", 17, 1);
	take(t, 2, NULL, 6, 2);
	assert_null(pk_traffic_job(t, 0));
	assert_int_equal(node_allowed(t), 18);
	assert_int_equal(pk_traffic_sum(t, PK_INGRESS, PK_REASON_POLICY_DENIED)->packets, 3);
	pk_traffic_free(t);
}

/* The slot is another's by now, whose counters are higher already than the last ones read. */
static void test_a_slot_changes_hands(void **state)
{
	struct pk_traffic *t = pk_traffic_new(SINCE);
	struct pk_local_endpoint a = endpoint("a@eth0", "acme", "api");
	struct pk_local_endpoint b = endpoint("b@eth0", "bank", "ledger");

	(void)state;
	take(t, 1, &a, 10, 0);
	take(t, 1, &b, 50, 3);
	assert_null(job_named(t, "acme", "api"));
	assert_job(t, "bank", "ledger", 50, 3);
	assert_int_equal(node_allowed(t), 60);
	pk_traffic_free(t);
}

/* A new picketd counts from zero; of endpoints that come later everything counts. */
static void test_what_was_before_is_no_leap(void **state)
{
	struct pk_traffic *t = pk_traffic_new(SINCE);
	struct pk_local_endpoint old = endpoint("a@eth0", "acme", "api");
	struct pk_local_endpoint new = endpoint("b@eth0", "acme", "api");

	(void)state;
	old.added = SINCE - 1;
	take(t, 1, &old, 1000, 500);
	take(t, 2, &new, 2, 0);
	assert_job(t, "acme", "api", 2, 0);
	take(t, 1, &old, 1001, 501);
	assert_job(t, "acme", "api", 3, 1);
	take(t, 0, NULL, 70, 0);
	take(t, 0, NULL, 71, 0);
	assert_int_equal(node_allowed(t), 4);
	pk_traffic_free(t);
}

/* Confirmed as another job: the sums that there are stay where they are. */
static void test_a_job_becomes_known(void **state)
{
	struct pk_traffic *t = pk_traffic_new(SINCE);
	struct pk_local_endpoint a = endpoint("a@eth0", "acme", "claimed");
	struct pk_local_endpoint b = endpoint("b@eth0", NULL, NULL);

	(void)state;
	a.confirmed = PK_UNCONFIRMED;
	take(t, 1, &a, 4, 0);
	take(t, 2, &b, 9, 0);
	assert_job(t, "acme", PK_TRAFFIC_UNKNOWN, 4, 0);
	assert_job(t, PK_TRAFFIC_QUARANTINE, PK_TRAFFIC_UNKNOWN, 9, 0);
	a.confirmed = PK_BELIEVED;
	a.fed++;
	take(t, 1, &a, 5, 0);
	assert_job(t, "acme", "claimed", 1, 0);
	assert_null(job_named(t, "acme", PK_TRAFFIC_UNKNOWN));
	pk_traffic_free(t);
}

/* One tenant's jobs take 64 series, everybody's 256; nobody is lost, and no two are called alike. */
static void test_series_are_bounded(void **state)
{
	static char keys[1000][16], jobs[1000][16], tenants[1000][16];
	struct pk_traffic *t = pk_traffic_new(SINCE);
	const struct pk_traffic_job *job, *other;
	unsigned int endpoints = 0, n = 0;

	(void)state;
	for (uint32_t i = 0; i < 1000; i++) {
		struct pk_local_endpoint ep;

		snprintf(keys[i], sizeof(keys[i]), "c%u@eth0", i);
		snprintf(jobs[i], sizeof(jobs[i]), i == 7 ? "_other" : "job%u", i);
		snprintf(tenants[i], sizeof(tenants[i]), i < 200 ? "evil" : "t%u", i);
		ep = endpoint(keys[i], tenants[i], jobs[i]);
		take(t, i + 1, &ep, 1, 0);
	}
	for (; (job = pk_traffic_job(t, n)); n++) {
		endpoints += job->endpoints;
		for (size_t i = 0; i < n; i++) {
			other = pk_traffic_job(t, i);
			assert_false(strcmp(other->tenant_name, job->tenant_name) == 0 &&
				     strcmp(other->job, job->job) == 0);
		}
	}
	assert_int_equal(endpoints, 1000);
	assert_true(n <= 2 * PK_TRAFFIC_JOBS + 1);
	assert_job(t, "evil", "job0", 1, 0);
	assert_job(t, "evil", PK_TRAFFIC_OTHER, 200 - 63, 0);
	assert_job(t, "t200", "job200", 1, 0);
	assert_non_null(job_named(t, PK_TRAFFIC_OTHER, PK_TRAFFIC_OTHER));
	assert_int_equal(node_allowed(t), 1000);
	for (uint32_t i = 0; i < 1000; i++)
		take(t, i + 1, NULL, 1, 0);
	assert_null(pk_traffic_job(t, 0));
	pk_traffic_free(t);
}

static void test_names_that_show_alike_are_one(void **state)
{
	struct pk_traffic *t = pk_traffic_new(SINCE);
	char longer[300];
	struct pk_local_endpoint a = endpoint("a@eth0", "acme", "x\xff");
	struct pk_local_endpoint b = endpoint("b@eth0", "acme", "x\xfe");
	struct pk_local_endpoint c = endpoint("c@eth0", "acme", longer);

	(void)state;
	memset(longer, 'l', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	memcpy(longer + PK_TRAFFIC_NAME - 1, "\xc3\xa4", 2);
	take(t, 1, &a, 1, 0);
	take(t, 2, &b, 1, 0);
	take(t, 3, &c, 1, 0);
	assert_job(t, "acme", "x\xef\xbf\xbd", 2, 0);
	longer[PK_TRAFFIC_NAME - 1] = '\0'; /* no half of a character */
	assert_job(t, "acme", longer, 1, 0);
	pk_traffic_free(t);
}

/* -- the plugin's counts */

static int make_dir(void **state)
{
	char dir[] = "/tmp/pk-counts-XXXXXX", path[64];

	*state = mkdtemp(dir) ? strdup(dir) : NULL;
	if (!*state)
		return -1;
	snprintf(path, sizeof(path), "%s/run", (char *)*state);
	return mkdir(path, 0755);
}

static int remove_dir(void **state)
{
	static const char *const names[] = { "run/picket/verbs-1.counts", "run/picket", "run", "" };
	char path[128];

	for (size_t i = 0; i < PK_ARRAY_LEN(names); i++) {
		snprintf(path, sizeof(path), "%s/%s", (char *)*state, names[i]);
		remove(path);
	}
	free(*state);
	return 0;
}

static void count_one(const struct pk_paths *paths, unsigned int i)
{
	struct pk_counts *counts = pk_counts_open(paths);

	pk_counts_begin(counts, PK_COUNTED_ADD);
	if (i % 10 == 0)
		_exit(0); /* killed */
	pk_counts_end(counts, PK_COUNTED_ADD, i % 10 == 1 ? PK_CODE_NO_ADDRESS : -1, 7000000);
	pk_counts_close(counts);
	_exit(0);
}

/* Many at once, of which some never end. */
static void test_plugins_count(void **state)
{
	const struct pk_verb_counts *add;
	struct pk_counts counts;
	struct pk_paths paths;
	struct stat st;

	assert_int_equal(pk_paths_init(&paths, *state, NULL), 0);
	assert_null(pk_counts_open(&paths)); /* no directory yet */
	pk_counts_begin(NULL, PK_COUNTED_ADD);
	pk_counts_read(&paths, &counts);
	assert_int_equal(counts.verb[PK_COUNTED_ADD].begun, 0);
	assert_int_equal(mkdir(paths.run, 0755), 0);
	for (unsigned int i = 0; i < 50; i++)
		if (fork() == 0)
			count_one(&paths, i);
	while (wait(NULL) > 0)
		;
	pk_counts_read(&paths, &counts);
	add = &counts.verb[PK_COUNTED_ADD];
	assert_int_equal(add->begun, 50);
	assert_int_equal(add->ended, 45);
	assert_int_equal(add->failed[PK_CODE_NO_ADDRESS], 5);
	assert_int_equal(add->bucket[1], 45);
	assert_int_equal(add->took_ns, 45 * 7000000ull);
	assert_int_equal(counts.verb[PK_COUNTED_DEL].begun, 0);
	assert_int_equal(stat(paths.run, &st), 0);
}

static void test_buckets(void **state)
{
	struct pk_counts counts = { 0 };
	const struct pk_verb_counts *del = &counts.verb[PK_COUNTED_DEL];

	(void)state;
	pk_counts_end(&counts, PK_COUNTED_DEL, -1, 0);
	pk_counts_end(&counts, PK_COUNTED_DEL, -1, 5000000);
	pk_counts_end(&counts, PK_COUNTED_DEL, -1, 5000001);
	pk_counts_end(&counts, PK_COUNTED_DEL, 4000, 3600000000000ull);
	assert_int_equal(del->bucket[0], 2);
	assert_int_equal(del->bucket[1], 1);
	assert_int_equal(del->bucket[PK_COUNTED_BUCKETS - 1], 1);
	assert_int_equal(del->failed[0], 1);
	assert_int_equal(pk_counted_parse("CHECK"), PK_COUNTED_CHECK);
	assert_true(pk_counted_parse("GC") < 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_values_are_escaped),
		cmocka_unit_test(test_sums_only_grow),
		cmocka_unit_test(test_a_slot_changes_hands),
		cmocka_unit_test(test_what_was_before_is_no_leap),
		cmocka_unit_test(test_a_job_becomes_known),
		cmocka_unit_test(test_series_are_bounded),
		cmocka_unit_test(test_names_that_show_alike_are_one),
		cmocka_unit_test_setup_teardown(test_plugins_count, make_dir, remove_dir),
		cmocka_unit_test(test_buckets),
	};

	return cmocka_run_group_tests_name("metrics", tests, NULL, NULL);
}
