/* SPDX-License-Identifier: Apache-2.0 */
/* The compiler: ports, shared rule sets, lists, and what a change of the world costs. */
#include "tests/unit/policy_texts.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>

#include "compile.h"
#include "engine.h"
#include "ports.h"
#include "selector.h"

/* Longest match over a table, the plain way. */
static const struct pk_port_entry *look(const struct pk_port_table *t, uint8_t proto, uint16_t port)
{
	const struct pk_port_entry *best = NULL;

	for (size_t i = 0; i < t->n; i++) {
		const struct pk_port_entry *e = &t->entries[i];
		unsigned int bits = e->prefixlen > 80 ? e->prefixlen - 80 : 0;

		if (e->prefixlen > 72 && e->proto != proto)
			continue;
		if (bits && (e->port ^ port) >> (16 - bits))
			continue;
		if (!best || e->prefixlen > best->prefixlen)
			best = e;
	}
	return best;
}

static void a_range_is_few_prefixes(void **state)
{
	static const struct pk_span low[] = { { IPPROTO_TCP, 1, 1024 } };
	static const struct pk_span web[] = { { IPPROTO_TCP, 80, 80 } };
	const struct pk_claim claims[] = {
		{ .tier = PK_TIER_TENANT,
		  .kind = PK_KIND_DENY,
		  .rule = 100,
		  .spans = web,
		  .n_spans = 1 },
		{ .tier = PK_TIER_TENANT,
		  .kind = PK_KIND_ALLOW,
		  .rule = 101,
		  .spans = low,
		  .n_spans = 1 },
	};
	const struct pk_defaults defaults = { .live = { [PK_TIER_TENANT] = true },
					      .audit = { [PK_TIER_TENANT] = true },
					      .live_rule = { [PK_TIER_TENANT] = 102 },
					      .audit_rule = { [PK_TIER_TENANT] = 102 } };
	struct pk_port_table t = { 0 };

	(void)state;
	pk_ports_compile(claims, 2, &defaults, &t);
	for (unsigned int port = 0; port < 65536; port++) {
		uint32_t want = port >= 1 && port <= 1024 ? 101 : 102;

		if (port == 80)
			want = 100;
		assert_int_equal(look(&t, IPPROTO_TCP, (uint16_t)port)->value.live.rule, want);
		assert_int_equal(look(&t, IPPROTO_UDP, (uint16_t)port)->value.live.rule, 102);
	}
	/* All, 0..1023, 1024, and the holes at 0 and 80. */
	assert_int_equal(t.n, 5);
	free(t.entries);
}

static struct pk_world_endpoint *endpoint(const char *name, const char *set, bool local)
{
	struct pk_world_endpoint *ep = pk_world_endpoint_new(name);

	ep->labels = labels(set);
	ep->local = local;
	return ep;
}

struct fixture {
	struct pk_settings settings;
	struct pk_engine *engine;
};

static int setup(void **state)
{
	struct fixture *f = pk_alloc(sizeof(*f));

	pk_settings_init(&f->settings);
	f->engine = pk_engine_new(&f->settings);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	pk_engine_free(f->engine);
	pk_settings_done(&f->settings);
	free(f);
	return 0;
}

static void compile(struct fixture *f)
{
	struct pk_err err = { 0 };

	if (pk_engine_compile(f->engine, &err) < 0)
		fail_msg("%s", err.text);
}

#define XA "[\"nomad:job=a\",\"nomad:namespace=x\"]"
#define XB "[\"nomad:job=b\",\"nomad:namespace=x\"]"
#define YA "[\"nomad:job=a\",\"nomad:namespace=y\"]"

static void tenants_without_policies_share_one_rule_set(void **state)
{
	struct fixture *f = *state;
	struct pk_image *base = NULL;

	pk_engine_put(f->engine, endpoint("1", XA, true));
	pk_engine_put(f->engine, endpoint("2", YA, true));
	pk_engine_want_base(f->engine, "z");
	compile(f);
	assert_ptr_equal(pk_engine_image(f->engine, "1"), pk_engine_image(f->engine, "2"));
	assert_ptr_equal(pk_engine_image(f->engine, "1"), pk_engine_base(f->engine, "z"));
	/* The plugin's own compile, in another process, comes to the same. */
	assert_int_equal(pk_compile_base(&f->settings, NULL, 0, "q", &base, NULL), 0);
	assert_memory_equal(base->digest, pk_engine_image(f->engine, "1")->digest, 16);
	assert_int_equal(base->n_peers, 0);
	pk_image_unref(base);
}

static void rule_sets_that_may_part_are_not_shared(void **state)
{
	static const char text[] =
		"{\"tier\":\"operator\",\"rules\":[{\"endpointSelector\":{},\"ingress\":"
		"[{\"fromEndpoints\":[{\"matchLabels\":{\"nomad:job\":\"late\"}}]}]}]}";
	struct fixture *f = *state;
	struct pk_document *doc = document("late.json", text);

	pk_engine_put(f->engine, endpoint("1", XA, true));
	pk_engine_put(f->engine, endpoint("2", YA, true));
	pk_engine_set_documents(f->engine, &doc, 1);
	compile(f);
	/* Equal today; but x/late would be a tenant's own to one and a stranger to the other. */
	assert_int_equal(pk_engine_image(f->engine, "1")->n_verdicts,
			 pk_engine_image(f->engine, "2")->n_verdicts);
	assert_memory_not_equal(pk_engine_image(f->engine, "1")->digest,
				pk_engine_image(f->engine, "2")->digest, 16);
	pk_engine_free(PK_MOVE(f->engine, NULL));
	pk_document_free(doc);
}

/* An operator's document of n prefixes, from the first-th on, denied to whom it selects. */
static struct pk_document *denied(const char *name, const char *selector, unsigned int first,
				  unsigned int n)
{
	own_str text = { 0 };

	pk_str_addf(&text,
		    "{\"tier\":\"operator\",\"rules\":[{\"endpointSelector\":%s,"
		    "\"egressDeny\":[{\"toCIDR\":[",
		    selector);
	for (unsigned int i = first; i < first + n; i++)
		pk_str_addf(&text, "%s\"20.%u.%u.0/24\"", i > first ? "," : "", i / 128,
			    i % 128 * 2);
	pk_str_add(&text, "]}]}]}");
	return document(name, text.text);
}

static struct pk_document *long_list(unsigned int n)
{
	return denied("long.json", "{}", 0, n);
}

static uint32_t list_class(const struct pk_image *image, int list, const char *text)
{
	union pk_addr addr;

	assert_int_equal(pk_addr_parse(text, &addr), 0);
	return pk_cidr_list_class(image->list[list], &addr);
}

/* One list of the operator's, whatever prefixes tenants name beside it. */
static void a_long_list_stands_once(void **state)
{
	static const char *const own[] = {
		"{\"namespace\":\"x\",\"rules\":[{\"endpointSelector\":{},"
		"\"egress\":[{\"toCIDR\":[\"20.0.0.0/16\"]}]}]}",
		"{\"namespace\":\"y\",\"rules\":[{\"endpointSelector\":{},"
		"\"egress\":[{\"toCIDR\":[\"198.51.100.0/24\"]}]}]}",
	};
	/* Less than the operator's: what tenants may name is their own alone. */
	const struct pk_engine_limits limits = { .tenant_cidrs = 200 };
	struct fixture *f = *state;
	struct pk_document *docs[] = { long_list(1000), document("x.json", own[0]),
				       document("y.json", own[1]) };
	struct pk_engine_size size;
	const struct pk_image *x, *y;

	pk_engine_set_limits(f->engine, &limits);
	pk_engine_put(f->engine, endpoint("1", XA, true));
	pk_engine_put(f->engine, endpoint("2", YA, true));
	pk_engine_set_documents(f->engine, docs, PK_ARRAY_LEN(docs));
	compile(f);
	assert_int_equal(pk_engine_fit(f->engine, "1"), PK_FIT_ALL);
	assert_int_equal(pk_engine_fit(f->engine, "2"), PK_FIT_ALL);
	pk_engine_size(f->engine, &size);
	assert_in_range(size.cidrs, 1000, 1100);
	x = pk_engine_image(f->engine, "1");
	y = pk_engine_image(f->engine, "2");
	assert_ptr_equal(x->list[PK_LIST_ALL], y->list[PK_LIST_ALL]);
	assert_ptr_not_equal(x->list[PK_LIST_OWN], y->list[PK_LIST_OWN]);
	assert_null(x->list[PK_LIST_ALL + PK_INGRESS]);
	/* Listed by both; in a hole of the operator's list; listed by nobody. */
	assert_int_equal(list_class(x, PK_LIST_ALL, "20.0.2.1"), PK_CLASS_ALL);
	assert_in_range(list_class(x, PK_LIST_OWN, "20.0.2.1"), PK_CLASS_FIRST, PK_CLASS_FIRST + 9);
	assert_int_equal(list_class(x, PK_LIST_ALL, "20.0.3.1"), PK_CLASS_NONE);
	assert_int_equal(list_class(x, PK_LIST_ALL, "9.9.9.9"), PK_CLASS_NONE);
	pk_engine_free(PK_MOVE(f->engine, NULL));
	for (size_t i = 0; i < PK_ARRAY_LEN(docs); i++)
		pk_document_free(docs[i]);
}

/* A short list has no lookup of its own. */
static void a_short_list_is_the_rule_sets_own(void **state)
{
	struct fixture *f = *state;
	struct pk_document *doc = long_list(PK_CIDR_BESIDE_MIN - 1);

	pk_engine_put(f->engine, endpoint("1", XA, true));
	pk_engine_set_documents(f->engine, &doc, 1);
	compile(f);
	assert_null(pk_engine_image(f->engine, "1")->list[PK_LIST_ALL]);
	assert_in_range(list_class(pk_engine_image(f->engine, "1"), PK_LIST_OWN, "20.0.2.1"),
			PK_CLASS_FIRST, PK_CLASS_FIRST + 9);
	pk_engine_free(PK_MOVE(f->engine, NULL));
	pk_document_free(doc);
}

#define SHORT_DOCS 60

/* The operator's short documents: half for everybody, half for tenant x alone. */
static void short_documents(struct pk_document **docs)
{
	for (unsigned int i = 0; i < SHORT_DOCS; i++) {
		char name[32];

		snprintf(name, sizeof(name), "short-%u.json", i);
		docs[i] =
			denied(name, i % 2 ? "{\"matchLabels\":{\"nomad:namespace\":\"x\"}}" : "{}",
			       i * 10, 10);
	}
}

static void they_stand_once(const struct fixture *f)
{
	const struct pk_image *x = pk_engine_image(f->engine, "1");
	const struct pk_image *x2 = pk_engine_image(f->engine, "2");
	const struct pk_image *y = pk_engine_image(f->engine, "3");
	struct pk_engine_size size;

	pk_engine_size(f->engine, &size);
	assert_in_range(size.cidrs, SHORT_DOCS * 10, SHORT_DOCS * 13);
	assert_ptr_not_equal(x->list[PK_LIST_OWN], x2->list[PK_LIST_OWN]);
	assert_ptr_equal(x->list[PK_LIST_ALL], y->list[PK_LIST_ALL]);
	assert_ptr_equal(x->list[PK_LIST_ALL], x2->list[PK_LIST_ALL]);
	assert_ptr_equal(x->list[PK_LIST_SOME], x2->list[PK_LIST_SOME]);
	assert_null(y->list[PK_LIST_SOME]);
	assert_int_equal(list_class(x, PK_LIST_ALL, "20.0.2.1"), PK_CLASS_ALL);
	assert_int_equal(list_class(x, PK_LIST_ALL, "20.0.20.1"), PK_CLASS_NONE);
	assert_int_equal(list_class(x, PK_LIST_SOME, "20.0.20.1"), PK_CLASS_SOME);
}

/* Whatever tenants name beside them; and fewer than are worth a list stand in each own one. */
static void many_short_documents_stand_once(void **state)
{
	static const char *const own[] = {
		"{\"namespace\":\"x\",\"rules\":[{\"endpointSelector\":{},"
		"\"egress\":[{\"toCIDR\":[\"20.0.0.0/16\"]}]}]}",
		"{\"namespace\":\"x\",\"rules\":[{\"endpointSelector\":{\"matchLabels\":{\"job\":"
		"\"b\"}},\"egress\":[{\"toCIDR\":[\"192.0.2.0/24\"]}]}]}",
		"{\"namespace\":\"y\",\"rules\":[{\"endpointSelector\":{},"
		"\"egress\":[{\"toCIDR\":[\"198.51.100.0/24\"]}]}]}",
	};
	struct fixture *f = *state;
	struct pk_document *docs[SHORT_DOCS + 3];
	const struct pk_image *x;

	short_documents(docs);
	docs[SHORT_DOCS] = document("x.json", own[0]);
	docs[SHORT_DOCS + 1] = document("x2.json", own[1]);
	docs[SHORT_DOCS + 2] = document("y.json", own[2]);
	pk_engine_put(f->engine, endpoint("1", XA, true));
	pk_engine_put(f->engine, endpoint("2", XB, true));
	pk_engine_put(f->engine, endpoint("3", YA, true));
	pk_engine_set_documents(f->engine, docs, PK_ARRAY_LEN(docs));
	compile(f);
	they_stand_once(f);
	/* All go but one of each kind. */
	pk_engine_set_documents(f->engine, docs + SHORT_DOCS - 2, 5);
	compile(f);
	x = pk_engine_image(f->engine, "1");
	assert_null(x->list[PK_LIST_ALL]);
	assert_null(x->list[PK_LIST_SOME]);
	assert_in_range(list_class(x, PK_LIST_OWN, "20.4.136.1"), PK_CLASS_FIRST,
			PK_CLASS_FIRST + 9);
	pk_engine_set_documents(f->engine, docs, PK_ARRAY_LEN(docs));
	compile(f);
	they_stand_once(f);
	pk_engine_free(PK_MOVE(f->engine, NULL));
	for (size_t i = 0; i < PK_ARRAY_LEN(docs); i++)
		pk_document_free(docs[i]);
}

static void a_new_endpoint_only_adds(void **state)
{
	static const char text[] =
		"{\"namespace\":\"x\",\"rules\":[{\"endpointSelector\":{},\"ingress\":"
		"[{\"fromEndpoints\":[{\"matchLabels\":{\"job\":\"b\"}}]}]}]}";
	struct fixture *f = *state;
	struct pk_document *doc = document("x.json", text);
	struct pk_image *before, *after;
	struct pk_image_delta delta;
	struct pk_identity_ref ref;

	pk_engine_put(f->engine, endpoint("1", XA, true));
	pk_engine_set_documents(f->engine, &doc, 1);
	compile(f);
	before = pk_image_ref(pk_engine_image(f->engine, "1"));
	assert_int_equal(before->n_peers, 0);
	pk_engine_put(f->engine, endpoint("2", XB, false));
	compile(f);
	after = pk_engine_image(f->engine, "1");
	pk_image_diff(before, after, &delta);
	assert_false(delta.replace);
	assert_int_equal(delta.n_peers, 1);
	assert_true(delta.n_verdicts > 0);
	assert_int_equal(delta.n_gone, 0);
	assert_int_equal(pk_engine_identity(f->engine, "2", &ref), 0);
	assert_memory_equal(delta.peers[0]->hash, ref.hash, sizeof(ref.hash));
	pk_image_delta_done(&delta);

	pk_image_unref(before);
	before = pk_image_ref(after);
	assert_int_equal(pk_engine_remove(f->engine, "2"), 0);
	assert_int_equal(pk_engine_remove(f->engine, "2"), -ENOENT);
	compile(f);
	pk_image_diff(before, pk_engine_image(f->engine, "1"), &delta);
	assert_false(delta.replace);
	assert_int_equal(delta.n_gone, 1);
	pk_image_delta_done(&delta);
	pk_image_unref(before);
	pk_engine_free(PK_MOVE(f->engine, NULL));
	pk_document_free(doc);
}

static void ports_that_policies_name_part_identities(void **state)
{
	static const char text[] =
		"{\"namespace\":\"x\",\"rules\":[{\"endpointSelector\":{},\"ingress\":"
		"[{\"toPorts\":[{\"ports\":[{\"port\":\"http\"}]}]}]}]}";
	struct fixture *f = *state;
	struct pk_document *doc = document("http.json", text);
	struct pk_world_endpoint *one = endpoint("1", XA, true), *two = endpoint("2", XA, true);
	struct pk_identity_ref a, b;

	pk_world_endpoint_add_port(one, "http", IPPROTO_TCP, 80);
	pk_world_endpoint_add_port(two, "http", IPPROTO_TCP, 8080);
	pk_world_endpoint_add_port(two, "other", IPPROTO_TCP, 9);
	pk_engine_put(f->engine, one);
	pk_engine_put(f->engine, two);
	compile(f);
	pk_engine_identity(f->engine, "1", &a);
	pk_engine_identity(f->engine, "2", &b);
	assert_memory_equal(a.hash, b.hash, sizeof(a.hash));
	assert_string_equal(a.text, XA);
	pk_engine_set_documents(f->engine, &doc, 1);
	compile(f);
	pk_engine_identity(f->engine, "1", &a);
	pk_engine_identity(f->engine, "2", &b);
	assert_string_equal(a.text, "[\"nomad:job=a\",\"nomad:namespace=x\",\"port:http=80/tcp\"]");
	assert_string_equal(b.text,
			    "[\"nomad:job=a\",\"nomad:namespace=x\",\"port:http=8080/tcp\"]");
	assert_ptr_not_equal(pk_engine_image(f->engine, "1"), pk_engine_image(f->engine, "2"));
	pk_engine_free(PK_MOVE(f->engine, NULL));
	pk_document_free(doc);
}

static void what_came_and_went_leaves_nothing(void **state)
{
	static const char text[] = "{\"namespace\":\"x\",\"rules\":[{\"endpointSelector\":{"
				   "\"matchLabels\":{\"job\":\"a\"}},"
				   "\"egress\":[{\"toEndpoints\":[{}],\"toPorts\":[{\"ports\":[{"
				   "\"port\":\"http\"}]}]}]}]}";
	struct fixture *f = *state;
	struct pk_document *doc = document("churn.json", text);
	struct pk_engine_size size;
	size_t most = 0;

	pk_engine_put(f->engine, endpoint("1", XA, true));
	pk_engine_set_documents(f->engine, &doc, 1);
	/* Each with a port of its own, so each with a class of its own. */
	for (unsigned int i = 0; i < 1000; i++) {
		struct pk_world_endpoint *ep = endpoint("2", XB, false);

		pk_world_endpoint_add_port(ep, "http", IPPROTO_TCP, (uint16_t)(1000 + i));
		pk_engine_put(f->engine, ep);
		compile(f);
		pk_engine_size(f->engine, &size);
		most = size.verdicts > most ? size.verdicts : most;
		assert_int_equal(size.peers, 1);
	}
	assert_true(most < 250);
	pk_engine_free(PK_MOVE(f->engine, NULL));
	pk_document_free(doc);
}

#define ABOUT_A(peers)                                                                             \
	"{\"namespace\": \"x\", \"rules\": [{\"endpointSelector\": {\"matchLabels\": "             \
	"{\"nomad:job\": \"a\"}}, \"egress\": [{" peers "}]}]}"

/* Whether a program is built in turns is decided by how many identities its entries may match. */
static void no_entry_matches_more_than_it_says(void **state)
{
	static const char *const texts[] = {
		ABOUT_A("\"toServices\": [{\"name\": \"pg\"}]"),
		ABOUT_A("\"toEndpoints\": [{\"matchLabels\": {\"consul:service\": \"pg\"}}]"),
		ABOUT_A("\"toEndpoints\": [{}]"),
		ABOUT_A("\"toEntities\": [\"cluster\"]"),
	};
	struct pk_document *docs[PK_ARRAY_LEN(texts)];
	struct fixture *f = *state;

	pk_engine_put(f->engine, endpoint("a", XA, true));
	for (int i = 0; i < 40; i++) {
		char name[16], set[96];

		snprintf(name, sizeof(name), "%d", i);
		snprintf(set, sizeof(set),
			 "[\"consul:service=pg\",\"nomad:job=j%d\",\"nomad:namespace=x\"]", i);
		pk_engine_put(f->engine, endpoint(name, set, false));
	}
	for (size_t i = 0; i < PK_ARRAY_LEN(texts); i++)
		docs[i] = document("x.json", texts[i]);
	pk_engine_set_documents(f->engine, docs, PK_ARRAY_LEN(texts));
	compile(f);
	for (struct doc_obj *d = f->engine->docs; d; d = d->hh.next) {
		struct ent *ent = d->rules[0].ents[PK_EGRESS];

		assert_in_range(index_matched(f->engine, ent)->n, 40, index_most(f->engine, ent));
	}
	pk_engine_free(PK_MOVE(f->engine, NULL));
	for (size_t i = 0; i < PK_ARRAY_LEN(texts); i++)
		pk_document_free(docs[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_range_is_few_prefixes),
		cmocka_unit_test_setup_teardown(tenants_without_policies_share_one_rule_set, setup,
						teardown),
		cmocka_unit_test_setup_teardown(rule_sets_that_may_part_are_not_shared, setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_new_endpoint_only_adds, setup, teardown),
		cmocka_unit_test_setup_teardown(ports_that_policies_name_part_identities, setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_long_list_stands_once, setup, teardown),
		cmocka_unit_test_setup_teardown(a_short_list_is_the_rule_sets_own, setup, teardown),
		cmocka_unit_test_setup_teardown(many_short_documents_stand_once, setup, teardown),
		cmocka_unit_test_setup_teardown(what_came_and_went_leaves_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(no_entry_matches_more_than_it_says, setup,
						teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
