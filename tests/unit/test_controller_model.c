/* SPDX-License-Identifier: Apache-2.0 */
/* Members, facts and documents in the engine; events with names. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs those above first */
#include <arpa/inet.h>
#include <cmocka.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "controller/event_share.h"
#include "controller/events.h"
#include "controller/flow.h"
#include "controller/flow_budget.h"
#include "controller/flowlog.h"
#include "controller/model.h"
#include "controller/records.h"
#include "fs.h"
#include "json.h"
#include "own.h"
#include "picket/query.h"
#include "picket/reason.h"

struct fixture {
	struct pk_settings settings;
	struct pk_docs *docs;
	struct pk_model *model;
	char facts[64];
};

static int setup(void **state)
{
	struct fixture *f = pk_alloc(sizeof(*f));
	struct pk_model_args args = { .settings = &f->settings };

	pk_settings_init(&f->settings);
	strcpy(f->facts, "/tmp/pk-model-XXXXXX");
	if (!mkdtemp(f->facts))
		return -1;
	f->docs = pk_docs_new(NULL);
	args.docs = f->docs;
	args.facts = f->facts;
	f->model = pk_model_new(&args);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	own_str command = { 0 };

	pk_model_free(f->model);
	pk_docs_free(f->docs);
	pk_settings_done(&f->settings);
	pk_str_addf(&command, "rm -r %s", f->facts);
	assert_int_equal(system(command.text), 0);
	free(f);
	return 0;
}

static union pk_addr addr(const char *text)
{
	union pk_addr a;

	assert_int_equal(pk_addr_parse(text, &a), 0);
	return a;
}

/* A member out of a record, as it comes in life. */
static void put_in(struct fixture *f, const char *tenant_name, const char *id, uint32_t slot,
		   const char *job)
{
	static const uint64_t epoch[2] = { 1, 2 };
	struct pk_record_port port = { .proto = IPPROTO_TCP, .host = 24722, .container = 22 };
	char eth0[] = "eth0", web[] = "web";
	struct pk_record r = { .container_id = (char *)id,
			       .ifname = eth0,
			       .slot = slot,
			       .tenant_name = (char *)tenant_name,
			       .job = (char *)job,
			       .group = web,
			       .ports = &port,
			       .n_ports = 1 };

	memcpy(r.epoch, epoch, sizeof(epoch));
	r.ipv4 = addr("10.40.7.10");
	r.ipv4.b[15] = (uint8_t)(10 + slot);
	pk_model_put(f->model, pk_local_endpoint_of_record(&r, epoch));
}

static void put(struct fixture *f, const char *id, uint32_t slot, const char *job)
{
	put_in(f, "acme", id, slot, job);
}

static void alloc_of(struct pk_alloc *a, const char *id, const char *job)
{
	own_str text = { 0 };

	pk_str_addf(&text,
		    "{\"ID\": \"%s\", \"Namespace\": \"acme\", \"JobID\": \"%s\","
		    " \"TaskGroup\": \"web\", \"Job\": {\"Region\": \"global\","
		    " \"Meta\": {\"tier\": \"web\"}, \"TaskGroups\": [{\"Name\": \"web\"}]}}",
		    id, job);
	assert_int_equal(pk_alloc_decode(text.text, text.len, a, NULL), 0);
}

static const char *labels_of(struct fixture *f, const char *key)
{
	const struct pk_world_endpoint *ep =
		pk_world_get(pk_engine_world(pk_model_engine(f->model)), key);

	return ep ? ep->labels->text : "";
}

static void test_claims_then_facts(void **state)
{
	struct fixture *f = *state;
	const struct pk_local_endpoint *m;
	struct pk_alloc a;
	own_str copy = { 0 };

	put(f, "aaaa", 1, "api");
	m = pk_model_get(f->model, "aaaa@eth0");
	assert_non_null(m);
	assert_int_equal(m->confirmed, PK_UNCONFIRMED);
	assert_null(strstr(labels_of(f, "aaaa@eth0"), "nomad:job=api"));
	assert_ptr_equal(pk_model_by_slot(f->model, 1), m);

	alloc_of(&a, "aaaa", "api");
	assert_true(pk_model_alloc(f->model, &a));
	assert_false(pk_model_alloc(f->model, &a)); /* the same again changes nothing */
	pk_alloc_done(&a);
	assert_int_equal(m->confirmed, PK_CONFIRMED);
	assert_non_null(strstr(labels_of(f, "aaaa@eth0"), "nomad:job=api"));
	assert_non_null(strstr(labels_of(f, "aaaa@eth0"), "meta:tier=web"));

	/* The record again (a repair), then a new controller without Nomad: the facts stay. */
	put(f, "aaaa", 1, "api");
	assert_int_equal(pk_model_get(f->model, "aaaa@eth0")->confirmed, PK_CONFIRMED);
	{
		struct pk_model_args args = { .settings = &f->settings,
					      .docs = f->docs,
					      .facts = f->facts };
		struct pk_model *first = f->model;

		f->model = pk_model_new(&args);
		put(f, "aaaa", 1, "api");
		assert_int_equal(pk_model_get(f->model, "aaaa@eth0")->confirmed, PK_CONFIRMED);
		assert_non_null(strstr(labels_of(f, "aaaa@eth0"), "meta:tier=web"));
		pk_model_free(first);
	}
	/* Another's facts under this one's name are nobody's. */
	pk_str_addf(&copy, "cp %s/aaaa.json %s/bbbb.json", f->facts, f->facts);
	assert_int_equal(system(copy.text), 0);
	put(f, "bbbb", 2, "api");
	assert_int_equal(pk_model_get(f->model, "bbbb@eth0")->confirmed, PK_UNCONFIRMED);
	assert_true(pk_model_remove(f->model, "bbbb@eth0"));
	assert_true(pk_model_remove(f->model, "aaaa@eth0"));
	assert_null(pk_model_get(f->model, "aaaa@eth0"));
	assert_string_equal(labels_of(f, "aaaa@eth0"), "");
	put(f, "aaaa", 1, "api"); /* gone is gone: its facts too */
	assert_int_equal(pk_model_get(f->model, "aaaa@eth0")->confirmed, PK_UNCONFIRMED);
	pk_model_remove(f->model, "aaaa@eth0");
}

/* Nomad's list comes before the record or after it; what it lacks changes nothing. */
static void test_lists(void **state)
{
	struct fixture *f = *state;
	struct pk_allocs list = { .list = pk_alloc(2 * sizeof(struct pk_alloc)), .n = 2 };
	struct pk_allocs none = { 0 };

	alloc_of(&list.list[0], "bbbb", "db");
	alloc_of(&list.list[1], "aaaa", "api");
	put(f, "aaaa", 1, "api");
	assert_true(pk_model_allocs(f->model, &list));
	assert_int_equal(list.n, 0);
	put(f, "bbbb", 2, "db");
	assert_int_equal(pk_model_get(f->model, "bbbb@eth0")->confirmed, PK_CONFIRMED);
	assert_non_null(pk_model_find_alloc(f->model, "bbbb"));
	assert_false(pk_model_allocs(f->model, &none));
	assert_null(pk_model_find_alloc(f->model, "bbbb"));
	assert_int_equal(pk_model_get(f->model, "bbbb@eth0")->confirmed, PK_CONFIRMED);
	assert_int_equal(pk_model_count(f->model), 2);
	pk_model_remove(f->model, "aaaa@eth0");
	pk_model_remove(f->model, "bbbb@eth0");
}

static void test_addresses(void **state)
{
	struct fixture *f = *state;
	union pk_addr a = addr("10.40.7.11"), b = addr("10.40.7.12"), c = addr("10.40.7.13");

	put(f, "aaaa", 1, "api");
	put(f, "bbbb", 2, "db");
	assert_string_equal(pk_model_by_address(f->model, &a)->container_id, "aaaa");
	assert_string_equal(pk_model_by_address(f->model, &b)->container_id, "bbbb");
	assert_null(pk_model_by_address(f->model, &c));
	pk_model_remove(f->model, "aaaa@eth0");
	assert_null(pk_model_by_address(f->model, &a));
	assert_null(pk_model_by_slot(f->model, 1));
	assert_null(pk_model_by_slot(f->model, 100000));
}

static void test_compiled(void **state)
{
	static const char deny[] = "{\"name\": \"d\", \"namespace\": \"acme\", \"rules\": ["
				   "{\"endpointSelector\": {}, \"ingress\": [{}]}]}";
	const struct pk_doc_place place = { .source = "file", .path = "/p/d.json" };
	struct fixture *f = *state;
	struct pk_image *before;
	uint64_t digest[2];

	put(f, "aaaa", 1, "api");
	assert_int_equal(pk_model_compile(f->model, NULL, NULL), 0);
	before = pk_engine_image(pk_model_engine(f->model), "aaaa@eth0");
	assert_non_null(before);
	assert_non_null(pk_engine_base(pk_model_engine(f->model), "acme"));
	assert_non_null(pk_engine_image(pk_model_engine(f->model), PK_MODEL_INIT));
	assert_string_equal(pk_model_tenant(f->model, 0), "acme");
	assert_null(pk_model_tenant(f->model, 1));
	memcpy(digest, before->digest, sizeof(digest));
	assert_true(pk_docs_offer(f->docs, &place, deny, strlen(deny)));
	pk_model_documents(f->model);
	assert_int_equal(pk_model_compile(f->model, NULL, NULL), 0);
	assert_memory_not_equal(pk_engine_image(pk_model_engine(f->model), "aaaa@eth0")->digest,
				digest, sizeof(digest));
	assert_true(pk_rules_count(pk_model_rules(f->model)) >= 1);
}

static bool only_bbbb(void *arg, const char *container_id)
{
	(void)arg;
	return strcmp(container_id, "bbbb") == 0;
}

/* Facts of endpoints that went while no controller ran, and a half-written file of them. */
static void test_facts_are_tidied(void **state)
{
	struct fixture *f = *state;
	own_str command = { 0 };
	struct pk_alloc a;

	for (int i = 0; i < 2; i++) {
		put(f, i ? "bbbb" : "aaaa", 1 + (uint32_t)i, "api");
		alloc_of(&a, i ? "bbbb" : "aaaa", "api");
		assert_true(pk_model_alloc(f->model, &a));
		pk_alloc_done(&a);
	}
	pk_str_addf(&command,
		    "set -e; cd %s; test -e aaaa.json; test -e bbbb.json; touch .aaaa.json.7",
		    f->facts);
	assert_int_equal(system(command.text), 0);
	pk_model_tidy_facts(f->model, only_bbbb, NULL);
	pk_str_done(&command);
	pk_str_addf(&command, "test \"$(ls -A %s)\" = bbbb.json", f->facts);
	assert_int_equal(system(command.text), 0);
}

static size_t tenants(struct fixture *f)
{
	size_t n = 0;

	assert_int_equal(pk_model_compile(f->model, NULL, NULL), 0);
	while (pk_model_tenant(f->model, n))
		n++;
	return n;
}

/* Tenants come and go for years: some that left keep their base, those that are here always do. */
static void test_tenants_that_left(void **state)
{
	struct fixture *f = *state;
	char name[16];

	put(f, "aaaa", 1, "api");
	assert_int_equal(tenants(f), 1);
	for (int i = 0; i < 200; i++) {
		snprintf(name, sizeof(name), "t%d", i);
		put_in(f, name, "bbbb", 2, "api");
		tenants(f);
		assert_non_null(pk_engine_base(pk_model_engine(f->model), name));
		pk_model_remove(f->model, "bbbb@eth0");
		if (i == 10) {
			assert_int_equal(tenants(f), 12);
			assert_false(pk_model_tenant_dropped(f->model));
		}
	}
	assert_true(tenants(f) < 50);
	assert_true(pk_model_tenant_dropped(f->model));
	assert_false(pk_model_tenant_dropped(f->model));
	assert_non_null(pk_engine_base(pk_model_engine(f->model), "acme"));
	assert_non_null(pk_engine_base(pk_model_engine(f->model), "t199"));
	assert_null(pk_engine_base(pk_model_engine(f->model), "t0"));
}

/* More than the list had room for at first; a key that isn't there takes nobody else along. */
static void test_many_endpoints(void **state)
{
	struct fixture *f = *state;
	char id[16];

	for (uint32_t i = 1; i <= 200; i++) {
		snprintf(id, sizeof(id), "a%03u", i);
		put(f, id, i, "api");
		assert_int_equal(pk_model_count(f->model), i);
	}
	assert_false(pk_model_remove(f->model, "a100@eth1"));
	assert_false(pk_model_remove(f->model, "zzzz@eth0"));
	assert_int_equal(pk_model_count(f->model), 200);
	for (uint32_t i = 200; i > 0; i--) {
		snprintf(id, sizeof(id), "a%03u@eth0", i);
		assert_int_equal(pk_model_get(f->model, id)->slot, i);
		assert_true(pk_model_remove(f->model, id));
		assert_null(pk_model_get(f->model, id));
	}
}

static const char *local_host(void *arg, const union pk_addr *a)
{
	(void)arg;
	return a->b[12] == 192 ? "host" : NULL;
}

static struct pk_event event(const char *src, const char *dst)
{
	struct pk_event ev = { .version = PK_EVENT_VERSION,
			       .type = PK_EVENT_DENIED,
			       .reason = PK_REASON_POLICY_DENIED,
			       .dir = PK_EGRESS,
			       .slot = 1,
			       .proto = IPPROTO_TCP,
			       .tcp_flags = 2,
			       .ethertype = 0x0800,
			       .rank = PK_RANK(PK_TIER_TENANT, PK_KIND_DEFAULT),
			       .length = 60 };

	ev.src = addr(src);
	ev.dst = addr(dst);
	ev.sport = htons(51544);
	ev.dport = htons(8443);
	return ev;
}

static void expect_line(struct fixture *f, const struct pk_event *ev, const char *const *parts)
{
	const struct pk_flow_names names = { .model = f->model,
					     .node = "vm-17",
					     .node_address = local_host };
	const struct timespec when = { .tv_sec = 1763906020, .tv_nsec = 122000000 };
	own_str line = { 0 };
	struct pk_flow_who_set *held = pk_flow_who_set_new();
	own_json *doc = NULL;
	struct pk_flow_event flow;

	pk_flow_take(&flow, ev, &when, &names, held);
	pk_flow_json(&flow, &names, &line);
	pk_flow_done(&flow);
	pk_flow_who_set_free(held);
	assert_in_range(line.len, 1, PK_FLOW_LINE_MAX);
	if (pk_json_parse("line", line.text, line.len, 0, &doc, NULL) < 0)
		fail_msg("no JSON: %s", line.text);
	assert_null(strchr(line.text, '\n'));
	for (; *parts; parts++)
		if (!strstr(line.text, *parts))
			fail_msg("no %s in %s", *parts, line.text);
}

static void test_flow_names(void **state)
{
	struct fixture *f = *state;
	struct pk_event ev = event("10.40.7.11", "203.0.113.7");
	struct pk_alloc a;

	put(f, "aaaa", 1, "api");
	put(f, "bbbb", 2, "db");
	alloc_of(&a, "aaaa", "api");
	pk_model_alloc(f->model, &a);
	pk_alloc_done(&a);
	expect_line(f, &ev,
		    (const char *const[]){ "\"time\":\"2025-11-23T13:53:40.122Z\"",
					   "\"verdict\":\"denied\"", "\"reason\":\"policy-denied\"",
					   "\"direction\":\"egress\"", "\"policy\":null",
					   "\"rule\":null", "\"tier\":\"tenant\"",
					   "\"kind\":\"default\"", "\"name\":\"acme/api/web\"",
					   "\"name\":\"world\"", "\"port\":8443",
					   "\"protocol\":\"tcp\"", "\"tcpFlags\":\"S\"", NULL });
	ev = event("10.40.7.11", "192.0.2.1");
	expect_line(f, &ev, (const char *const[]){ "\"name\":\"host\"", NULL });
	ev.party = PK_PARTY_REMOTE_NODE; /* what the data path saw counts more than the address */
	expect_line(f, &ev, (const char *const[]){ "\"name\":\"remote-node\"", NULL });
	f->settings.pools = pk_alloc(sizeof(*f->settings.pools));
	f->settings.n_pools = 1;
	assert_int_equal(pk_prefix_parse("10.40.7.0/24", f->settings.pools), 0);
	pk_model_settings(f->model, &f->settings);
	ev = event("10.40.7.11", "10.40.7.99"); /* an address of ours that nobody has */
	expect_line(f, &ev, (const char *const[]){ "\"name\":\"unknown\"", NULL });
	ev = event("10.40.7.11", "10.40.7.12");
	ev.peer_slot = 2;
	ev.rank = PK_RANK(PK_TIER_BUILTIN, PK_KIND_ALLOW);
	ev.rule = PK_RULE_SAME_TENANT;
	ev.reason = PK_REASON_OK;
	ev.type = PK_EVENT_AUDIT;
	ev.audit_verdict = PK_DENY;
	expect_line(f, &ev,
		    (const char *const[]){ "\"name\":\"acme/?/?\"", "\"verdict\":\"allowed\"",
					   "\"audit\":\"denied\"", "baseline: same namespace",
					   NULL });
	ev.proto = IPPROTO_ICMP;
	ev.dport = htons(8 << 8);
	ev.reason = 63;
	ev.dir = PK_INGRESS;
	expect_line(f, &ev,
		    (const char *const[]){ "\"icmpType\":8", "\"icmpCode\":0", "\"port\":null",
					   "\"reason\":\"unknown\"", NULL });
}

static void test_lost_events(void **state)
{
	struct fixture *f = *state;
	const struct pk_flow_names names = { .model = f->model, .node = "vm-17" };
	struct pk_loop *loop = pk_loop_new();
	struct pk_events *events = pk_events_new(loop, &names, NULL);
	struct pk_event ev = event("10.40.7.11", "203.0.113.7");
	struct pk_events_stats stats;

	ev.lost = 3;
	pk_events_take(events, &ev, sizeof(ev));
	pk_events_take(events, &ev, sizeof(ev) - 1); /* no event */
	ev.version = 9;
	pk_events_take(events, &ev, sizeof(ev)); /* another version's */
	pk_events_stats(events, &stats);
	assert_int_equal(stats.seen, 1);
	assert_int_equal(stats.lost, 5);
	pk_events_free(events);
	pk_loop_free(loop);
}

static uint64_t clock_ms;

static uint64_t fake_clock(void *arg)
{
	(void)arg;
	return clock_ms;
}

static uint32_t taken(struct pk_event_share *share, uint32_t tenant, uint32_t slot, int n)
{
	uint32_t count = 0;

	while (n--)
		count += pk_event_share_take(share, tenant, slot, 7);
	return count;
}

/* Fifty endpoints of a tenant, and ten tenants, hide nobody's first word. */
static void test_event_share(void **state)
{
	static struct pk_event_share share;
	uint32_t all = 0;

	(void)state;
	assert_int_equal(taken(&share, 1, 1, 100000), PK_EVENTS_PER_S / 3 + 1);
	assert_int_equal(taken(&share, 1, 2, 1), 1);
	for (uint32_t slot = 2; slot <= 51; slot++)
		all += taken(&share, 1, slot, 100000);
	assert_true(all > PK_EVENTS_PER_S / 10 && all <= PK_EVENTS_PER_S / 6 + 1);
	for (uint32_t t = 2; t <= 11; t++) {
		assert_int_equal(taken(&share, t, 50 + t, 1), 1);
		taken(&share, t, 50 + t, 100000);
	}
	assert_int_equal(taken(&share, 12, 70, 3), 3);
	assert_true(pk_event_share_take(&share, 1, 1, 8)); /* the next second is a new one */
}

/* A second has room for so many; what is more is counted, and said in the next one. */
static void test_event_budget(void **state)
{
	struct fixture *f = *state;
	const struct pk_flow_names names = { .model = f->model, .node = "vm-17" };
	struct pk_loop *loop = pk_loop_new();
	struct pk_events *events = pk_events_new(loop, &names, NULL);
	struct pk_event ev = event("10.40.7.11", "203.0.113.7");
	struct pk_events_stats stats;

	pk_loop_set_clock(loop, fake_clock, NULL);
	clock_ms = 5000;
	for (int i = 0; i < PK_EVENTS_PER_S; i++)
		pk_events_take(events, &ev, sizeof(ev));
	pk_events_stats(events, &stats);
	assert_int_equal(stats.lost, PK_EVENTS_PER_S * 2 / 3);
	/* Another tenant's, sent to the same endpoint, and what the world sends to a third. */
	ev.dir = PK_INGRESS;
	ev.peer_slot = 3;
	ev.src_tenant = 77;
	pk_events_take(events, &ev, sizeof(ev));
	ev.peer_slot = 0;
	ev.slot = 4;
	ev.dst_tenant = 78;
	pk_events_take(events, &ev, sizeof(ev));
	pk_events_stats(events, &stats);
	assert_int_equal(stats.lost, PK_EVENTS_PER_S * 2 / 3);
	clock_ms = 6000;
	pk_events_take(events, &ev, sizeof(ev));
	pk_events_stats(events, &stats);
	assert_int_equal(stats.lost, PK_EVENTS_PER_S * 2 / 3);
	pk_events_free(events);
	pk_loop_free(loop);
}

/* An endpoint with as many labels and as long names as may be, under a rule with a long description. */
static void longest_names(struct fixture *f)
{
	char group[PK_ALLOC_NAME_MAX];
	own_str text = { 0 };
	struct pk_alloc a;

	memset(group, '\t', sizeof(group));
	group[sizeof(group) - 1] = '\0';
	pk_str_add(
		&text,
		"{\"ID\": \"aaaa\", \"Namespace\": \"acme\", \"JobID\": \"api\", \"TaskGroup\": \"");
	for (size_t i = 0; group[i]; i++)
		pk_str_add(&text, "\\t");
	pk_str_add(&text, "\", \"Job\": {\"Meta\": {");
	for (int i = 0; i < 60; i++)
		pk_str_addf(&text, "%s\"key%02d\": \"a value of some forty bytes, and no more\"",
			    i ? "," : "", i);
	pk_str_add(&text, "}, \"TaskGroups\": [{\"Name\": \"");
	for (size_t i = 0; group[i]; i++)
		pk_str_add(&text, "\\t");
	pk_str_add(&text, "\"}]}}");
	assert_int_equal(pk_alloc_decode(text.text, text.len, &a, NULL), 0);
	assert_null(a.labels_refused);
	put(f, "aaaa", 1, "api");
	pk_model_alloc(f->model, &a);
	pk_alloc_done(&a);
}

static void offer_long_rule(struct fixture *f)
{
	const struct pk_doc_place place = { .source = "file", .path = "/p/long.json" };
	own_str text = { 0 };

	pk_str_add(&text, "{\"name\": \"long\", \"rules\": [{\"description\": \"");
	for (int i = 0; i < 500; i++)
		pk_str_add(&text, "as long as its author likes ");
	pk_str_add(
		&text,
		"\", \"endpointSelector\": {}, \"egressDeny\": [{\"toCIDR\": [\"203.0.113.0/24\"]}]}]}");
	assert_true(pk_docs_offer(f->docs, &place, text.text, text.len));
	pk_model_documents(f->model);
}

static void test_longest_line(void **state)
{
	struct fixture *f = *state;
	struct pk_event ev = event("10.40.7.11", "203.0.113.7");
	struct pk_rule_ref ref;

	longest_names(f);
	offer_long_rule(f);
	assert_int_equal(pk_rules_at(pk_model_rules(f->model), 0, &ref), 0);
	ev.rule = ref.number;
	ev.rank = PK_RANK(PK_TIER_OPERATOR, PK_KIND_DENY);
	expect_line(f, &ev,
		    (const char *const[]){ "\"namespace\":\"acme\"", "\"job\":\"api\"",
					   "\"alloc\":\"aaaa\"", "\"labels\":[]", "\"cut\":true",
					   "\"rule\":null", NULL });
	ev = event("10.40.7.11", "10.40.7.11");
	ev.peer_slot = 1;
	expect_line(f, &ev, (const char *const[]){ "\"namespace\":\"acme\"", NULL });
}

/* Its sender pays for a line in the file: its bytes at once, then a trickle; others write on. */
static void test_file_budget(void **state)
{
	struct pk_flow_budget *b = pk_flow_budget_new();
	struct pk_flow_missed missed;
	unsigned int n = 0;

	(void)state;
	while (pk_flow_budget_take(b, 7, 4096, 1000, &missed))
		n++;
	assert_int_equal(n, PK_FLOW_BURST / 4096);
	assert_true(pk_flow_budget_take(b, 8, 4096, 1000, &missed));
	assert_int_equal(missed.lines, 0);
	for (unsigned int ms = 1001; ms <= 11000; ms++)
		n += pk_flow_budget_take(b, 7, 1024, ms, &missed);
	assert_int_equal(n - PK_FLOW_BURST / 4096, 10000 * PK_FLOW_BYTES_PER_MS / 1024);
	assert_true(pk_flow_budget_take(b, 7, 4096, 3000000, &missed));
	assert_true(missed.lines > 0 && missed.since_ms < 11001);
	pk_flow_budget_free(b);
}

static size_t lines_of(const char *path)
{
	own_mem char *text = NULL;
	size_t len, n = 0;

	assert_int_equal(pk_fs_read(path, 8 << 20, &text, &len, NULL), 0);
	for (size_t i = 0; i < len; i++)
		n += text[i] == '\n';
	return n;
}

static struct pk_flowlog *flow_file(const char *path, uint64_t max_size, unsigned int keep)
{
	return pk_flowlog_new(
		&(struct pk_flowlog_args){ .path = path, .max_size = max_size, .keep = keep });
}

/* How many lines of twenty such events are over their payer's share. */
static uint64_t over_of(struct pk_events *events, const struct pk_event *ev)
{
	struct pk_events_stats before, after;

	pk_events_stats(events, &before);
	for (int i = 0; i < 20; i++)
		pk_events_take(events, ev, sizeof(*ev));
	pk_events_stats(events, &after);
	return after.over - before.over;
}

static void test_one_floods_the_file(void **state)
{
	struct fixture *f = *state;
	const struct pk_flow_names names = { .model = f->model, .node = "vm-17" };
	struct pk_loop *loop = pk_loop_new();
	own_str path = { 0 };
	struct pk_flowlog *log;
	struct pk_events *events;
	struct pk_event ev = event("10.40.7.11", "203.0.113.7");
	struct pk_events_stats stats;

	pk_str_addf(&path, "%s/flows.jsonl", f->facts);
	log = flow_file(path.text, 64 << 20, 1);
	events = pk_events_new(loop, &names, log);
	pk_loop_set_clock(loop, fake_clock, NULL);
	put(f, "aaaa", 1, "api");
	put(f, "bbbb", 2, "db");
	for (clock_ms = 1000; clock_ms < 61000; clock_ms += 10)
		pk_events_take(events, &ev, sizeof(ev));
	pk_events_stats(events, &stats);
	assert_int_equal(stats.lost, 0);
	assert_true(stats.over > 2000);
	assert_true(lines_of(path.text) + stats.over >= 6000);
	/* What is sent to another is the sender's line, too; another's own are not touched. */
	ev.dir = PK_INGRESS;
	ev.slot = 2;
	ev.peer_slot = 1;
	assert_in_range(over_of(events, &ev), 10, 20);
	/* So are what it sends to another, and what comes to it from no endpoint of ours. */
	ev.dir = PK_EGRESS;
	ev.slot = 1;
	ev.peer_slot = 2;
	assert_in_range(over_of(events, &ev), 10, 20);
	ev.dir = PK_INGRESS;
	ev.peer_slot = 0;
	assert_in_range(over_of(events, &ev), 10, 20);
	pk_events_stats(events, &stats);
	ev = event("10.40.7.12", "203.0.113.7");
	ev.slot = 2;
	for (int i = 0; i < 100; i++)
		pk_events_take(events, &ev, sizeof(ev));
	{
		uint64_t over = stats.over;

		pk_events_stats(events, &stats);
		assert_int_equal(stats.over, over);
	}
	pk_events_free(events);
	pk_flowlog_free(log);
	unlink(path.text);
	pk_loop_free(loop);
}

static void test_flow_file(void **state)
{
	struct fixture *f = *state;
	own_str path = { 0 };
	own_str command = { 0 };
	struct pk_flowlog *log;
	char line[1023];

	memset(line, 'x', sizeof(line));
	pk_str_addf(&path, "%s/flows/f.jsonl", f->facts);
	log = flow_file(path.text, 4096, 2);
	for (int i = 0; i < 20; i++)
		pk_flowlog_line(log, line, 1000);
	assert_int_equal(pk_flowlog_lost(log), 0);
	pk_flowlog_free(log);
	/* 4 lines a file; the two kept ones are whole, the rest is gone. */
	pk_str_addf(&command,
		    "set -e; cd %s/flows; test $(ls | wc -l) = 3; test $(wc -l < f.jsonl.1) = 4;"
		    " test $(wc -l < f.jsonl.2) = 4; test $(stat -c %%a f.jsonl) = 640; cd ..; rm "
		    "-r flows",
		    f->facts);
	assert_int_equal(system(command.text), 0);
	/* What fills the file to its last byte is in it still. */
	log = flow_file(path.text, 4096, 2);
	for (int i = 0; i < 4; i++)
		pk_flowlog_line(log, line, sizeof(line));
	pk_flowlog_free(log);
	pk_str_add(&path, ".1");
	assert_int_equal(access(path.text, F_OK), -1);
	log = flow_file("/proc/none/f.jsonl", 4096, 2);
	pk_flowlog_line(log, "x", 1);
	assert_int_equal(pk_flowlog_lost(log), 1);
	pk_flowlog_free(log);
}

/* Whoever starts picketd without a standard input gives it the lowest number there is. */
static void test_flow_file_is_opened_once(void **state)
{
	struct fixture *f = *state;
	own_str path = { 0 };
	struct pk_flowlog *log;
	int input = dup(0), next;

	pk_str_addf(&path, "%s/flows.jsonl", f->facts);
	log = flow_file(path.text, 4096, 2);
	close(0);
	pk_flowlog_line(log, "x\n", 2);
	next = dup(input);
	pk_flowlog_line(log, "y\n", 2);
	close(next);
	assert_int_equal(dup(input), next); /* no other was opened meanwhile */
	close(next);
	pk_flowlog_free(log);
	dup2(input, 0);
	close(input);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_claims_then_facts, setup, teardown),
		cmocka_unit_test_setup_teardown(test_lists, setup, teardown),
		cmocka_unit_test_setup_teardown(test_addresses, setup, teardown),
		cmocka_unit_test_setup_teardown(test_compiled, setup, teardown),
		cmocka_unit_test_setup_teardown(test_facts_are_tidied, setup, teardown),
		cmocka_unit_test_setup_teardown(test_tenants_that_left, setup, teardown),
		cmocka_unit_test_setup_teardown(test_many_endpoints, setup, teardown),
		cmocka_unit_test_setup_teardown(test_flow_names, setup, teardown),
		cmocka_unit_test_setup_teardown(test_lost_events, setup, teardown),
		cmocka_unit_test_setup_teardown(test_event_share, setup, teardown),
		cmocka_unit_test_setup_teardown(test_event_budget, setup, teardown),
		cmocka_unit_test_setup_teardown(test_longest_line, setup, teardown),
		cmocka_unit_test(test_file_budget),
		cmocka_unit_test_setup_teardown(test_one_floods_the_file, setup, teardown),
		cmocka_unit_test_setup_teardown(test_flow_file, setup, teardown),
		cmocka_unit_test_setup_teardown(test_flow_file_is_opened_once, setup, teardown),
	};

	return cmocka_run_group_tests_name("controller: model", tests, NULL, NULL);
}
