/* SPDX-License-Identifier: Apache-2.0 */
/* Whom an event names, in the longest form that fits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "controller/flows/flow_who.h"
#include "controller/model/local_endpoint.h"
#include "controller/model/records.h"
#include "own.h"
#include "world.h"

/* An endpoint whose job's name is so long, and that has so many labels. */
static void expect(size_t job_len, unsigned int n_labels, const char *const *has, const char *lacks)
{
	static const uint64_t epoch[2] = { 1, 2 };
	char id[] = "a", eth0[] = "eth0", acme[] = "acme", web[] = "web", job[2000] = "";
	struct pk_record record = { .container_id = id,
				    .ifname = eth0,
				    .slot = 1,
				    .tenant_name = acme,
				    .job = memset(job, 'j', job_len),
				    .group = web };
	struct pk_flow_who_set *held = pk_flow_who_set_new();
	struct pk_world_endpoint *ep = pk_world_endpoint_new("a@eth0");
	struct pk_local_endpoint *local;
	struct pk_flow_who *who;
	char key[16];

	memcpy(record.epoch, epoch, sizeof(epoch));
	local = pk_local_endpoint_of_record(&record, epoch);
	local->confirmed = PK_BELIEVED;
	ep->labels = pk_label_set_new();
	pk_label_set_add(ep->labels, "nomad:namespace", "acme");
	for (unsigned int i = 0; i < n_labels; i++) {
		snprintf(key, sizeof(key), "meta:key%u", i);
		pk_label_set_add(ep->labels, key, "a value that is not so short");
	}
	assert_int_equal(pk_label_set_finish(ep->labels, NULL), 0);
	who = pk_flow_who_endpoint(held, local, ep);
	for (; *has; has++)
		if (!strstr(pk_flow_who_text(who), *has))
			fail_msg("no %s in %s", *has, pk_flow_who_text(who));
	if (strstr(pk_flow_who_text(who), lacks))
		fail_msg("%s in %s", lacks, pk_flow_who_text(who));
	assert_in_range(strlen(pk_flow_who_text(who)), 1, PK_FLOW_WHO_MAX);
	pk_flow_who_drop(who);
	pk_flow_who_set_free(held);
	pk_local_endpoint_free(local);
	pk_world_endpoint_free(ep);
}

static void test_all_of_it_fits(void **state)
{
	static const char *const has[] = { "\"job\":\"jjj\"", "meta:key0=a value", NULL };

	(void)state;
	expect(3, 1, has, "\"cut\"");
}

/* The labels go before a letter of a name does. */
static void test_more_labels_than_fit(void **state)
{
	char name[300], job[320];
	const char *const has[] = { job, "\"labels\":[]", "\"cut\":true", NULL };

	(void)state;
	memset(name, 'j', sizeof(name));
	snprintf(job, sizeof(job), "\"job\":\"%.*s\"", (int)sizeof(name), name);
	expect(sizeof(name), 64, has, "meta:key0");
}

static void test_names_that_are_too_long(void **state)
{
	static const char *const has[] = { "\"job\":\"jjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjj\"",
					   "\"namespace\":\"acme\"", "\"cut\":true", NULL };

	(void)state;
	expect(1600, 0, has, "jjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjj");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_of_it_fits),
		cmocka_unit_test(test_more_labels_than_fit),
		cmocka_unit_test(test_names_that_are_too_long),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
