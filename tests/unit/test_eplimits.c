/* SPDX-License-Identifier: Apache-2.0 */
/* Whose word limits an endpoint, and what a job's meta may ask for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "controller/model/local_endpoint.h"
#include "eplimits.h"
#include "json.h"
#include "own.h"

#define OUT PK_LIMIT_BYTES + PK_EGRESS
#define IN  PK_LIMIT_BYTES + PK_INGRESS

static void holds(const struct pk_limit_words *said, int limit, uint32_t value,
		  enum pk_limit_source source)
{
	struct pk_limits_held held;

	pk_limits_hold(said, &held);
	assert_int_equal(held.limits.of[limit], value);
	assert_int_equal(held.source[limit], source);
}

static void of_the_operators_the_lower_holds(void **state)
{
	struct pk_limit_words said = { .node = { { [OUT] = 100, [IN] = 200 } },
				       .conflist = { { [OUT] = 50, [PK_LIMIT_FLOWS] = 9 } } };

	(void)state;
	holds(&said, OUT, 50, PK_LIMIT_OF_CONFLIST);
	holds(&said, IN, 200, PK_LIMIT_OF_NODE);
	holds(&said, PK_LIMIT_FLOWS, 9, PK_LIMIT_OF_CONFLIST);
	holds(&said, PK_LIMIT_PACKETS, 0, PK_LIMIT_OF_NOBODY);
	said.conflist.of[OUT] = 101;
	holds(&said, OUT, 100, PK_LIMIT_OF_NODE);
}

/* The runtime's and the job's arguments lower, and never raise. */
static void others_only_lower(void **state)
{
	struct pk_limit_words said = { .conflist = { { [OUT] = 100, [IN] = 100 } },
				       .bandwidth = { { [OUT] = 200, [IN] = 80 } },
				       .burst = { 7, 8 } };
	struct pk_limits_held held;

	(void)state;
	pk_limits_hold(&said, &held);
	assert_int_equal(held.limits.of[OUT], 100);
	assert_int_equal(held.limits.of[IN], 80);
	assert_int_equal(held.burst[PK_EGRESS], 0); /* of a rate that doesn't hold */
	assert_int_equal(held.burst[PK_INGRESS], 8);
	said.args.of[IN] = 81;
	holds(&said, IN, 80, PK_LIMIT_OF_BANDWIDTH);
	said.args.of[IN] = 79;
	holds(&said, IN, 79, PK_LIMIT_OF_JOB);
	said.args.of[PK_LIMIT_NEW_FLOWS + PK_INGRESS] = 3;
	holds(&said, PK_LIMIT_NEW_FLOWS + PK_INGRESS, 3, PK_LIMIT_OF_JOB);
	holds(&said, PK_LIMIT_NEW_FLOWS + PK_EGRESS, 0, PK_LIMIT_OF_NOBODY);
}

/* Within the most, which was compared before, meta stands in the operator's place. */
static void meta_replaces_the_operators(void **state)
{
	struct pk_limit_words said = { .conflist = { { [OUT] = 100, [IN] = 100 } },
				       .meta = { { [OUT] = 500 } },
				       .bandwidth = { { [IN] = 90 } } };

	(void)state;
	holds(&said, OUT, 500, PK_LIMIT_OF_JOB);
	holds(&said, IN, 90, PK_LIMIT_OF_BANDWIDTH);
	said.bandwidth.of[OUT] = 300;
	holds(&said, OUT, 300, PK_LIMIT_OF_BANDWIDTH);
}

/* An endpoint of a network whose conflist says 100 bytes out, and its job's meta. */
static void judge(const char *meta, enum pk_confirmed confirmed, const struct pk_limits *most,
		  struct pk_limits_held *held, struct pk_err *refused)
{
	struct pk_alloc_meta label = { .key = (char *)PK_META_LIMITS, .value = (char *)meta };
	struct pk_alloc facts = { .tenant_name = (char *)"acme", .meta = &label, .n_meta = 1 };
	struct pk_network network = { "net", { { [OUT] = 100 } } };
	struct pk_settings s = {
		.flow_budget = 4096, .network = &network, .n_networks = 1, .job_most = *most
	};
	struct pk_local_endpoint m = { .tenant_name = (char *)"acme",
				       .network = (char *)"net",
				       .limits = { { [OUT] = 70 } }, /* as it was at ADD */
				       .confirmed = confirmed,
				       .facts = &facts };

	pk_local_endpoint_limits(&m, &s, held, refused);
}

static void refused(const char *meta, const struct pk_limits *most, const char *why)
{
	struct pk_limits_held held;
	struct pk_err err;

	judge(meta, PK_CONFIRMED, most, &held, &err);
	if (!strstr(err.text, why))
		fail_msg("\"%s\" lacks \"%s\"", err.text, why);
	assert_true(*err.fix);
	assert_int_equal(held.limits.of[OUT], 100);
	assert_int_equal(held.source[OUT], PK_LIMIT_OF_CONFLIST);
}

static void meta_has_a_most(void **state)
{
	static const struct pk_limits none, most = { { [OUT] = 1000, [PK_LIMIT_FLOWS] = 50 } };
	static const char asks[] = "{\"bytesPerSecond\":{\"out\":1000}}";
	struct pk_limits_held held;
	struct pk_err err;

	(void)state;
	judge(asks, PK_CONFIRMED, &most, &held, &err);
	assert_string_equal(err.text, "");
	assert_int_equal(held.limits.of[OUT], 1000);
	assert_int_equal(held.source[OUT], PK_LIMIT_OF_JOB);
	judge(asks, PK_UNCONFIRMED, &most, &held, &err);
	assert_string_equal(err.text, "");
	assert_int_equal(held.limits.of[OUT], 100);
	refused(asks, &none, "picketd.json lets none");
	refused("{\"bytesPerSecond\":{\"out\":1001}}", &most,
		"1001 bytes out, and the most is 1000");
	/* One of them too high, or not named by the most: none of them counts. */
	refused("{\"bytesPerSecond\":1000}", &most, "1000 bytes in, and the most is 0");
	refused("{\"bytesPerSecond\":{\"out\":5},\"flows\":51}", &most, "51 live flows");
	refused("{\"bytesPerSecond\":{\"out\":0}}", &most, "whole number");
	refused("{\"bytes\":5}", &most, "bytes");
	refused("[]", &most, "object");
	refused("${meta.x}", &most, "meta picket.limits");
	refused("{\"flows\":5} {}", &most, "meta picket.limits");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(of_the_operators_the_lower_holds),
		cmocka_unit_test(others_only_lower),
		cmocka_unit_test(meta_replaces_the_operators),
		cmocka_unit_test(meta_has_a_most),
	};

	return cmocka_run_group_tests_name("endpoints' limits", tests, NULL, NULL);
}
