/* SPDX-License-Identifier: Apache-2.0 */
/* Scenarios of several documents, by the evaluator and by compiled rule sets. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <netinet/in.h>

#include "reach.h"

/* Two tenants, a quarantined endpoint; then policies and what is expected. */
#define WORLD(policies, expect)                                                                    \
	"{\"endpoints\":["                                                                         \
	"{\"name\":\"x/a\",\"labels\":{\"nomad:namespace\":\"x\",\"nomad:job\":\"a\"}},"           \
	"{\"name\":\"x/b\",\"labels\":{\"nomad:namespace\":\"x\",\"nomad:job\":\"b\"}},"           \
	"{\"name\":\"y/a\",\"labels\":{\"nomad:namespace\":\"y\",\"nomad:job\":\"a\"}},"           \
	"{\"name\":\"q\",\"labels\":{}}],\"policies\":[" policies "],\"expect\":[" expect "]}"
#define DENIED(from, to, port)                                                                     \
	"{\"from\":\"" from "\",\"to\":\"" to "\",\"port\":\"" port "/tcp\",\"verdict\":\"deny\"}"
#define ALLOWED(from, to, port)                                                                    \
	"{\"from\":\"" from "\",\"to\":\"" to "\",\"port\":\"" port "/tcp\",\"verdict\":"          \
	"\"allow\"}"
#define INTO(from, to, port, verdict)                                                              \
	"{\"from\":\"" from "\",\"to\":\"" to "\",\"port\":\"" port                                \
	"/tcp\",\"ingress\":\"" verdict "\"}"
#define TENANT_RULE(ns, rule)                                                                      \
	"{\"namespace\":\"" ns "\",\"rules\":[{\"endpointSelector\":{}," rule "}]}"
#define OPERATOR_RULE(rule) "{\"tier\":\"operator\",\"rules\":[{\"endpointSelector\":{}," rule "}]}"

struct row {
	const char *sentence;
	const char *text;
};

static void check(const struct row *row, enum pk_ask_engine engine)
{
	const struct pk_reach_options options = { .engine = engine };
	struct pk_reach_tally tally = { 0 };
	char path[] = "/tmp/picket-cases-XXXXXX";
	struct pk_str out = { 0 }, said = { 0 };
	struct pk_err err = { 0 };
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, row->text, strlen(row->text)), strlen(row->text));
	close(fd);
	if (pk_reach(path, &options, &out, &said, &tally, &err) < 0)
		print_error("%s: %s\n", row->sentence, err.text);
	if (tally.failed || !tally.held)
		print_error("%s: %s\n", row->sentence, out.text ? out.text : "nothing held");
	unlink(path);
	assert_true(tally.held > 0 && tally.failed == 0 && !err.text[0]);
	pk_str_done(&out);
	pk_str_done(&said);
}

static void check_all(const struct row *rows, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		check(&rows[i], PK_ASK_REFERENCE);
		check(&rows[i], PK_ASK_COMPILED);
	}
}

static const struct row nobody[] = {
	{ "a selector that matches nothing admits nobody",
	  WORLD(TENANT_RULE(
			"x",
			"\"ingress\":[{\"fromEndpoints\":[{\"matchLabels\":{\"job\":\"none\"}}]}]"),
		DENIED("x/b", "x/a", "80") "," DENIED("host", "x/a", "80") "," DENIED(
			"world:203.0.113.1", "x/a", "80") "," DENIED("unknown:10.9.9.9", "x/a",
								     "80")) },
	{ "an empty list of selectors admits nobody",
	  WORLD(TENANT_RULE("x", "\"ingress\":[{\"fromEndpoints\":[]}]"),
		DENIED("x/b", "x/a", "80")) },
	{ "a service without instances is nobody",
	  WORLD(TENANT_RULE("x", "\"egress\":[{\"toServices\":[{\"name\":\"gone\"}]}]"),
		DENIED("x/a", "x/b", "80") "," DENIED("x/a", "world:203.0.113.1", "80")) },
	{ "a CIDR that is all excepted is nobody",
	  WORLD(TENANT_RULE("x",
			    "\"egress\":[{\"toCIDRSet\":[{\"cidr\":\"203.0.113.0/24\",\"except\":"
			    "[\"203.0.113.0/25\",\"203.0.113.128/25\"]}]}]"),
		DENIED("x/a", "world:203.0.113.1",
		       "80") "," DENIED("x/a", "world:203.0.113.200",
					"80") "," DENIED("x/a", "world:198.51.100.1",
							 "80") "," DENIED("x/a", "x/b", "80")) },
	{ "the entity none is nobody",
	  WORLD(TENANT_RULE("x", "\"ingress\":[{\"fromEntities\":[\"none\"]}]"),
		DENIED("x/b", "x/a", "80")) },
	{ "a port label that nobody has opens nothing, not everything",
	  WORLD(TENANT_RULE("x", "\"ingress\":[{\"toPorts\":[{\"ports\":[{\"port\":\"nope\"}]}]}]"),
		DENIED("x/b", "x/a", "80") "," DENIED("x/b", "x/a", "1")) },
	{ "a name without an answer is nobody",
	  WORLD(TENANT_RULE("x", "\"egress\":[{\"toFQDNs\":[{\"matchName\":\"a.example\"}]}]"),
		DENIED("x/a", "world:203.0.113.1", "443")) },
};

static void nothing_is_never_all(void **state)
{
	(void)state;
	check_all(nobody, sizeof(nobody) / sizeof(nobody[0]));
}

#define OPEN_Y                                                                                     \
	TENANT_RULE("y", "\"ingress\":[{\"fromEndpoints\":[{\"matchLabels\":{\"nomad:namespace\":" \
			 "\"x\"}}]}],\"egress\":[{\"toEndpoints\":[{\"matchLabels\":"              \
			 "{\"nomad:namespace\":\"x\"}}]}]")
/* y names x both ways, so that x's own words alone decide. */
#define ESCAPE(sentence, peers)                                                                    \
	{ sentence, WORLD(OPEN_Y "," TENANT_RULE("x", "\"ingress\":[{" peers "}]"),                \
			  INTO("y/a", "x/a", "80", "deny") "," INTO("q", "x/a", "80", "deny")) }
static const struct row inside[] = {
	ESCAPE("{} is the own namespace", "\"fromEndpoints\":[{}]"),
	ESCAPE("NotIn on a job is the own namespace",
	       "\"fromEndpoints\":[{\"matchExpressions\":[{\"key\":\"nomad:job\",\"operator\":"
	       "\"NotIn\","
	       "\"values\":[\"z\"]}]}]"),
	ESCAPE("NotIn on the namespace stays in it", "\"fromEndpoints\":[{\"matchExpressions\":[{"
						     "\"key\":\"nomad:namespace\",\"operator\":"
						     "\"NotIn\",\"values\":[\"z\"]}]}]"),
	ESCAPE("DoesNotExist on a label stays in the namespace",
	       "\"fromEndpoints\":[{\"matchExpressions\":[{\"key\":\"meta:none\",\"operator\":"
	       "\"DoesNotExist\"}]}]"),
	ESCAPE("Exists on the namespace stays in it", "\"fromEndpoints\":[{\"matchExpressions\":[{"
						      "\"key\":\"nomad:namespace\",\"operator\":"
						      "\"Exists\"}]}]"),
	ESCAPE("the entity all is the own namespace and the world", "\"fromEntities\":[\"all\"]"),
	ESCAPE("the entity cluster is the own namespace", "\"fromEntities\":[\"cluster\"]"),
	ESCAPE("no peer key is the entity all",
	       "\"toPorts\":[{\"ports\":[{\"port\":\"80\",\"protocol\":\"TCP\"}]}]"),
	{ "a tenant's {} selects no other tenant's endpoint",
	  WORLD(TENANT_RULE("x", "\"ingressDeny\":[{\"fromEntities\":[\"all\"]}]"),
		"{\"from\":\"host\",\"to\":\"y/a\",\"port\":\"80/tcp\",\"verdict\":\"deny\"},"
		"{\"from\":\"y/a\",\"to\":\"y/a\",\"port\":\"80/tcp\",\"verdict\":\"allow\"}") },
	{ "a tenant's words don't select the quarantined",
	  WORLD(TENANT_RULE("x", "\"ingress\":[{\"fromEntities\":[\"all\"]}],\"egress\":"
				 "[{\"toEntities\":[\"all\"]}]"),
		DENIED("q", "x/a", "80") "," DENIED("x/a", "q", "80")) },
	{ "naming the other namespace is what opens, from both sides",
	  WORLD(OPEN_Y "," TENANT_RULE("x", "\"ingress\":[{\"fromEndpoints\":[{\"matchLabels\":"
					    "{\"nomad:namespace\":\"y\"}}]}]"),
		ALLOWED("y/a", "x/a", "80")) },
};

static void a_tenant_stays_a_tenant(void **state)
{
	(void)state;
	check_all(inside, sizeof(inside) / sizeof(inside[0]));
}

#define DENY_TEN  OPERATOR_RULE("\"egressDeny\":[{\"toCIDR\":[\"10.0.0.0/8\"]}]")
#define ALLOW_ONE OPERATOR_RULE("\"egress\":[{\"toCIDR\":[\"10.1.2.3/32\"]}]")
#define DENY_RANGE                                                                                 \
	OPERATOR_RULE(                                                                             \
		"\"ingressDeny\":[{\"toPorts\":[{\"ports\":[{\"port\":\"1\",\"endPort\":1024,"     \
		"\"protocol\":\"TCP\"}]}]}]")
#define ALLOW_80                                                                                   \
	OPERATOR_RULE("\"ingress\":[{\"toPorts\":[{\"ports\":[{\"port\":\"80\",\"protocol\":"      \
		      "\"TCP\"}]}]}]")
#define TEN_DENIED DENIED("x/a", "world:10.1.2.3", "443") "," DENIED("x/a", "world:10.1.2.4", "443")
static const struct row denied_first[] = {
	{ "a deny of 10/8 beats an allow of one address in it",
	  WORLD(DENY_TEN "," ALLOW_ONE, TEN_DENIED) },
	{ "in the other order too", WORLD(ALLOW_ONE "," DENY_TEN, TEN_DENIED) },
	{ "in one document too",
	  WORLD(OPERATOR_RULE("\"egress\":[{\"toCIDR\":[\"10.1.2.3/32\"]}],\"egressDeny\":"
			      "[{\"toCIDR\":[\"10.0.0.0/8\"]}]"),
		TEN_DENIED) },
	{ "a deny of one address beats an allow of 10/8",
	  WORLD(OPERATOR_RULE("\"egress\":[{\"toCIDR\":[\"10.0.0.0/8\"]}],\"egressDeny\":"
			      "[{\"toCIDR\":[\"10.1.2.3/32\"]}]"),
		DENIED("x/a", "world:10.1.2.3", "443") "," ALLOWED("x/a", "world:10.1.2.4",
								   "443")) },
	{ "a deny of a range beats a port inside it",
	  WORLD(DENY_RANGE "," ALLOW_80,
		DENIED("x/b", "x/a", "80") "," DENIED("x/b", "x/a",
						      "1024") "," ALLOWED("x/b", "x/a", "1025")) },
	{ "in the other order too",
	  WORLD(ALLOW_80 "," DENY_RANGE,
		DENIED("x/b", "x/a", "80") "," DENIED("x/b", "x/a", "1") "," ALLOWED("x/b", "x/a",
										     "1025")) },
};

static void a_deny_beats_what_is_more_specific(void **state)
{
	(void)state;
	check_all(denied_first, sizeof(denied_first) / sizeof(denied_first[0]));
}

/* A rule of a port and a peer of its own. */
static struct pk_document *many_rules(unsigned int n)
{
	const struct pk_doc_source src = { .source = "file", .path = "many" };
	struct pk_document *doc = NULL;
	struct pk_doc_notes notes = { 0 };
	struct pk_str s = { 0 };

	pk_str_add(&s, "{\"namespace\":\"x\",\"rules\":[");
	for (unsigned int i = 0; i < n; i++)
		pk_str_addf(&s,
			    "%s{\"endpointSelector\":{},\"ingress\":[{\"fromEndpoints\":[{"
			    "\"matchLabels\":"
			    "{\"job\":\"b\"}}],\"toPorts\":[{\"ports\":[{\"port\":\"%u\","
			    "\"protocol\":\"TCP\"}]}]}]}",
			    i ? "," : "", 1 + i * 2);
	pk_str_add(&s, "]}");
	assert_int_equal(pk_document_parse(&src, s.text, s.len, &doc, &notes), 0);
	pk_doc_notes_done(&notes);
	pk_str_done(&s);
	return doc;
}

static struct pk_world_endpoint *endpoint(const char *name, const char *ns, const char *job)
{
	struct pk_world_endpoint *ep = pk_world_endpoint_new(name);

	ep->labels = pk_label_set_new();
	pk_label_set_add(ep->labels, "nomad:namespace", ns);
	pk_label_set_add(ep->labels, "nomad:job", job);
	assert_int_equal(pk_label_set_finish(ep->labels, NULL), 0);
	ep->local = true;
	return ep;
}

static void what_does_not_fit_changes_nothing(void **state)
{
	const struct pk_engine_limits limits = { .verdicts = 500 };
	struct pk_document *small = many_rules(2), *large = many_rules(2000);
	struct pk_engine_size size;
	struct pk_settings settings;
	struct pk_err err = { 0 };
	struct pk_engine *engine;
	struct pk_image *before;

	(void)state;
	pk_settings_init(&settings);
	engine = pk_engine_new(&settings);
	pk_engine_set_limits(engine, &limits);
	pk_engine_put(engine, endpoint("x/a", "x", "a"));
	pk_engine_put(engine, endpoint("x/b", "x", "b"));
	pk_engine_set_documents(engine, &small, 1);
	assert_int_equal(pk_engine_compile(engine, &err), 0);
	before = pk_image_ref(pk_engine_image(engine, "x/a"));
	assert_non_null(before);

	pk_engine_set_documents(engine, &large, 1);
	assert_int_equal(pk_engine_compile(engine, &err), -E2BIG);
	assert_non_null(strstr(err.text, "verdict entries, the tables hold 500"));
	assert_true(err.fix[0]);
	assert_int_equal(err.code, PK_CODE_CAPACITY);
	pk_engine_size(engine, &size);
	assert_true(size.verdicts > 2000);
	assert_ptr_equal(pk_engine_image(engine, "x/a"), before);

	pk_engine_set_documents(engine, &small, 1);
	assert_int_equal(pk_engine_compile(engine, &err), 0);
	assert_memory_equal(pk_engine_image(engine, "x/a")->digest, before->digest, 16);
	pk_image_unref(before);
	pk_engine_free(engine);
	pk_document_free(small);
	pk_document_free(large);
}

/* n entries of all the world but one address each, on one port each: n classes of n ports. */
static struct pk_document *many_holes(const char *tenant_name, int n)
{
	const struct pk_doc_source src = { .source = "file", .path = tenant_name };
	struct pk_document *doc = NULL;
	own_notes notes = { 0 };
	own_str s = { 0 };

	pk_str_addf(&s, "{\"namespace\":\"%s\",\"rules\":[{\"endpointSelector\":{},\"egress\":[",
		    tenant_name);
	for (int i = 0; i < n; i++)
		pk_str_addf(
			&s,
			"%s{\"toCIDRSet\":[{\"cidr\":\"0.0.0.0/0\",\"except\":[\"1.0.%d.%d\"]}],"
			"\"toPorts\":[{\"ports\":[{\"port\":%d}]}]}",
			i ? "," : "", i >> 8, i & 255, 3 * i + 1);
	pk_str_add(&s, "]}]}");
	assert_int_equal(pk_document_parse(&src, s.text, s.len, &doc, &notes), 0);
	return doc;
}

static struct pk_document *operator_denies(const char *cidr)
{
	const struct pk_doc_source src = { .source = "file", .path = cidr };
	struct pk_document *doc = NULL;
	own_notes notes = { 0 };
	own_str s = { 0 };

	pk_str_addf(
		&s,
		"{\"rules\":[{\"endpointSelector\":{},\"egressDeny\":[{\"toCIDR\":[\"%s\"]}]}]}",
		cidr);
	assert_int_equal(pk_document_parse(&src, s.text, s.len, &doc, &notes), 0);
	return doc;
}

/* n addresses that are each told apart, and sixty ports for all of the world: n classes. */
static struct pk_document *many_classes(const char *tenant_name, int n)
{
	const struct pk_doc_source src = { .source = "file", .path = tenant_name };
	struct pk_document *doc = NULL;
	own_notes notes = { 0 };
	own_str s = { 0 };

	pk_str_addf(&s,
		    "{\"namespace\":\"%s\",\"rules\":[{\"endpointSelector\":{},\"egress\":["
		    "{\"toCIDR\":[\"0.0.0.0/0\"],\"toPorts\":[{\"ports\":[{\"port\":1}",
		    tenant_name);
	for (int i = 1; i < 60; i++)
		pk_str_addf(&s, ",{\"port\":%d}", 3 * i + 1);
	pk_str_add(&s, "]}]}");
	for (int i = 0; i < n; i++)
		pk_str_addf(
			&s,
			",{\"toCIDR\":[\"1.0.%d.%d\"],\"toPorts\":[{\"ports\":[{\"port\":%d}]}]}",
			i >> 8, i & 255, 2 * i + 1000);
	pk_str_add(&s, "]}]}");
	assert_int_equal(pk_document_parse(&src, s.text, s.len, &doc, &notes), 0);
	return doc;
}

/* Some verdict entries for the endpoints of one job. */
static struct pk_document *of_one_job(const char *tenant_name, const char *job)
{
	const struct pk_doc_source src = { .source = "file", .path = job };
	struct pk_document *doc = NULL;
	own_notes notes = { 0 };
	own_str s = { 0 };

	pk_str_addf(&s,
		    "{\"namespace\":\"%s\",\"rules\":[{\"endpointSelector\":{\"matchLabels\":{"
		    "\"nomad:job\":\"%s\"}},\"egress\":[{\"toPorts\":[{\"ports\":[",
		    tenant_name, job);
	for (int i = 0; i < 40; i++)
		pk_str_addf(&s, "%s{\"port\":%d,\"protocol\":\"TCP\"}", i ? "," : "", 3 * i + 1);
	pk_str_add(&s, "]}]}]}]}");
	assert_int_equal(pk_document_parse(&src, s.text, s.len, &doc, &notes), 0);
	return doc;
}

/*
 * A tenant's document whose rule set would grow with the square of its size costs neither memory
 * nor time, and nobody else's policy.
 */
static void a_bomb_is_its_tenants_alone(void **state)
{
	struct pk_document *docs[] = { many_holes("x", 4), many_holes("y", 4) };
	struct pk_document *bomb = many_holes("x", 4000), *other = many_holes("y", 5);
	struct pk_settings settings;
	struct pk_err err = { 0 };
	struct pk_engine *engine;
	struct pk_image *before[2];

	(void)state;
	pk_settings_init(&settings);
	engine = pk_engine_new(&settings);
	pk_engine_put(engine, endpoint("x/a", "x", "a"));
	pk_engine_put(engine, endpoint("y/b", "y", "b"));
	pk_engine_want_base(engine, "x");
	pk_engine_set_documents(engine, docs, 2);
	assert_int_equal(pk_engine_compile(engine, &err), 0);
	before[0] = pk_image_ref(pk_engine_image(engine, "x/a"));
	before[1] = pk_image_ref(pk_engine_image(engine, "y/b"));

	pk_engine_set_documents(engine, (struct pk_document *[]){ bomb, other }, 2);
	assert_int_equal(pk_engine_compile(engine, &err), -EFBIG);
	assert_int_equal(err.code, PK_CODE_CAPACITY);
	assert_non_null(strstr(err.text, "a rule set for \"x\" is too large"));
	assert_true(err.fix[0]);
	assert_ptr_equal(pk_engine_image(engine, "x/a"), before[0]);
	assert_ptr_not_equal(pk_engine_image(engine, "y/b"), before[1]);
	assert_non_null(pk_engine_base(engine, "x"));
	/* One who comes finds nothing new, and is no one's opening. */
	pk_engine_put(engine, endpoint("x/c", "x", "c"));
	assert_int_equal(pk_engine_compile(engine, &err), -EFBIG);
	assert_null(pk_engine_image(engine, "x/c"));

	pk_engine_set_documents(engine, docs, 2);
	assert_int_equal(pk_engine_compile(engine, &err), 0);
	assert_memory_equal(pk_engine_image(engine, "x/a")->digest, before[0]->digest, 16);
	assert_memory_equal(pk_engine_image(engine, "y/b")->digest, before[1]->digest, 16);
	assert_non_null(pk_engine_image(engine, "x/c"));
	pk_image_unref(before[0]);
	pk_image_unref(before[1]);
	pk_engine_free(engine);
	pk_document_free(docs[0]);
	pk_document_free(docs[1]);
	pk_document_free(bomb);
	pk_document_free(other);
}

/* A turn that never ends, and counts how often it was asked. */
static bool never_late(void *arg)
{
	++*(size_t *)arg;
	return false;
}

static size_t work(struct pk_engine *engine, int want)
{
	size_t n = 0;
	const struct pk_slice slice = { .late = never_late, .arg = &n };

	assert_int_equal(pk_engine_compile_slice(engine, &slice, NULL), want);
	return n;
}

static uint8_t egress_verdict(const struct pk_image *image, const char *addr)
{
	const struct pk_image_facts facts = { 0 };
	struct pk_question q = { .dir = PK_EGRESS,
				 .peer = { .party = PK_PARTY_WORLD },
				 .proto = IPPROTO_TCP,
				 .port = 1 };
	struct pk_verdict_value v;

	assert_int_equal(pk_addr_parse(addr, &q.peer.address), 0);
	pk_image_lookup(image, &q, &facts, &v);
	return v.live.verdict;
}

/*
 * No tenant undoes the operator by writing too much: what it had stays, until the operator changes
 * something; from then on the operator's word alone counts, and what the tenant may have denied is
 * denied. What is too large isn't built again for that.
 */
static void an_operators_change_reaches_who_wrote_too_much(void **state)
{
	struct pk_document *few = many_classes("x", 4), *bomb = many_classes("x", 4000);
	struct pk_document *deny = operator_denies("198.51.100.0/24");
	struct pk_document *other = operator_denies("203.0.113.0/24");
	struct pk_settings settings;
	struct pk_engine *engine;
	struct pk_image *before;
	size_t first, again;

	(void)state;
	pk_settings_init(&settings);
	engine = pk_engine_new(&settings);
	pk_engine_put(engine, endpoint("x/a", "x", "a"));
	pk_engine_set_documents(engine, (struct pk_document *[]){ few, deny }, 2);
	work(engine, 0);
	before = pk_image_ref(pk_engine_image(engine, "x/a"));
	assert_int_equal(egress_verdict(before, "203.0.113.1"), PK_ALLOW);
	assert_int_equal(egress_verdict(before, "198.51.100.1"), PK_DENY);

	pk_engine_set_documents(engine, (struct pk_document *[]){ bomb, deny }, 2);
	first = work(engine, -EFBIG);
	assert_ptr_equal(pk_engine_image(engine, "x/a"), before);
	pk_engine_set_documents(engine, (struct pk_document *[]){ bomb, deny, other }, 3);
	again = work(engine, -EFBIG);
	if (again > 40 || first < 200)
		fail_msg("%zu steps, then %zu", first, again);
	assert_int_equal(egress_verdict(pk_engine_image(engine, "x/a"), "203.0.113.1"), PK_DENY);
	assert_int_equal(egress_verdict(pk_engine_image(engine, "x/a"), "192.0.2.1"), PK_DENY);

	/* It writes less: all is as its documents and the operator's say. */
	pk_engine_set_documents(engine, (struct pk_document *[]){ few, deny, other }, 3);
	work(engine, 0);
	assert_int_equal(egress_verdict(pk_engine_image(engine, "x/a"), "203.0.113.1"), PK_DENY);
	assert_int_equal(egress_verdict(pk_engine_image(engine, "x/a"), "192.0.2.1"), PK_ALLOW);
	pk_image_unref(before);
	pk_engine_free(engine);
	pk_document_free(few);
	pk_document_free(bomb);
	pk_document_free(deny);
	pk_document_free(other);
}

/*
 * One tenant's rule sets together have a share of the tables. Who comes when it is used up stays as
 * it was; when there is room again it is served. Nobody else notices.
 */
static void a_tenants_share_is_all_it_has(void **state)
{
	struct pk_document *docs[] = { of_one_job("x", "a"), of_one_job("x", "b"),
				       of_one_job("y", "c") };
	struct pk_engine_limits limits = { 0 };
	struct pk_settings settings;
	struct pk_engine *engine;

	(void)state;
	pk_settings_init(&settings);
	engine = pk_engine_new(&settings);
	pk_engine_put(engine, endpoint("x/a", "x", "a"));
	pk_engine_put(engine, endpoint("y/c", "y", "c"));
	pk_engine_set_documents(engine, docs, 3);
	work(engine, 0);
	limits.tenant_verdicts = pk_engine_image(engine, "x/a")->n_verdicts * 3 / 2;
	pk_engine_set_limits(engine, &limits);
	pk_engine_put(engine, endpoint("x/b", "x", "b"));
	work(engine, -EFBIG);
	assert_non_null(pk_engine_image(engine, "x/a"));
	assert_null(pk_engine_image(engine, "x/b"));
	assert_non_null(pk_engine_image(engine, "y/c"));
	work(engine, -EFBIG);
	pk_engine_remove(engine, "x/a");
	work(engine, 0);
	assert_non_null(pk_engine_image(engine, "x/b"));
	pk_engine_free(engine);
	for (size_t i = 0; i < PK_ARRAY_LEN(docs); i++)
		pk_document_free(docs[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_is_never_all),
		cmocka_unit_test(a_tenant_stays_a_tenant),
		cmocka_unit_test(a_deny_beats_what_is_more_specific),
		cmocka_unit_test(what_does_not_fit_changes_nothing),
		cmocka_unit_test(a_bomb_is_its_tenants_alone),
		cmocka_unit_test(an_operators_change_reaches_who_wrote_too_much),
		cmocka_unit_test(a_tenants_share_is_all_it_has),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
