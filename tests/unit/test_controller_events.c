/* SPDX-License-Identifier: Apache-2.0 */
/* Events: their names, their shares and budgets, and the file of flows. */
#include "tests/unit/model_fixture.h"

#include <arpa/inet.h>
#include <unistd.h>

#include "controller/flows/event_share.h"
#include "controller/flows/events.h"
#include "controller/flows/flow.h"
#include "controller/flows/flow_budget.h"
#include "controller/flows/flowlog.h"
#include "fs.h"
#include "json.h"
#include "picket/query.h"
#include "picket/reason.h"

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

static void expect_closed(struct fixture *f, const struct pk_event_closed *closed,
			  const char *const *parts)
{
	const struct pk_flow_names names = { .model = f->model,
					     .node = "vm-17",
					     .node_address = local_host };
	const struct timespec when = { .tv_sec = 1763906020, .tv_nsec = 122000000 };
	own_str line = { 0 };
	struct pk_flow_who_set *held = pk_flow_who_set_new();
	own_json *doc = NULL;
	struct pk_flow_event flow;

	pk_flow_take(&flow, closed, &when, &names, held);
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

static void expect_line(struct fixture *f, const struct pk_event *ev, const char *const *parts)
{
	const struct pk_event_closed closed = { .event = *ev };

	expect_closed(f, &closed, parts);
}

/* The end of a flow: what each side sent, and how it ended. */
static void test_flow_end(void **state)
{
	struct pk_event_closed closed = { .event = event("10.40.7.11", "203.0.113.7"),
					  .packets = { 7, 5 },
					  .bytes = { 700, 123456789012 },
					  .seconds = 42,
					  .how = PK_FLOW_END_FIN };
	static const char *const parts[] = { "\"verdict\":\"closed\"",
					     "\"bytes\":700,\"packets\":7",
					     "\"replyBytes\":123456789012,\"replyPackets\":5",
					     "\"seconds\":42,\"end\":\"fin\"",
					     "\"reason\":\"ok\"",
					     NULL };
	static const char *const unknown[] = { "\"end\":null", NULL };

	closed.event.version = PK_EVENT_CLOSED_VERSION;
	closed.event.type = PK_EVENT_CLOSED;
	closed.event.reason = PK_REASON_OK;
	expect_closed(*state, &closed, parts);
	closed.how = 99;
	expect_closed(*state, &closed, unknown);
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
	const struct pk_doc_origin origin = { .source = "file", .path = "/p/long.json" };
	own_str text = { 0 };

	pk_str_add(&text, "{\"name\": \"long\", \"rules\": [{\"description\": \"");
	for (int i = 0; i < 500; i++)
		pk_str_add(&text, "as long as its author likes ");
	pk_str_add(
		&text,
		"\", \"endpointSelector\": {}, \"egressDeny\": [{\"toCIDR\": [\"203.0.113.0/24\"]}]}]}");
	assert_true(pk_docs_offer(f->docs, &origin, text.text, text.len));
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
	return pk_flowlog_new(&(struct pk_flowlog_args){
		.of = "flows", .path = path, .max_size = max_size, .keep = keep });
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
		cmocka_unit_test_setup_teardown(test_flow_names, setup, teardown),
		cmocka_unit_test_setup_teardown(test_flow_end, setup, teardown),
		cmocka_unit_test_setup_teardown(test_lost_events, setup, teardown),
		cmocka_unit_test_setup_teardown(test_event_share, setup, teardown),
		cmocka_unit_test_setup_teardown(test_event_budget, setup, teardown),
		cmocka_unit_test_setup_teardown(test_longest_line, setup, teardown),
		cmocka_unit_test(test_file_budget),
		cmocka_unit_test_setup_teardown(test_one_floods_the_file, setup, teardown),
		cmocka_unit_test_setup_teardown(test_flow_file, setup, teardown),
		cmocka_unit_test_setup_teardown(test_flow_file_is_opened_once, setup, teardown),
	};

	return cmocka_run_group_tests_name("controller: events", tests, NULL, NULL);
}
