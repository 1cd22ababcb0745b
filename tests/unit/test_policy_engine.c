/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Label sets, selectors, port tables and what the engine promises its callers
 * (lib/policy/compile.h).
 */
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "compile.h"
#include "doc.h"
#include "ports.h"
#include "selector.h"

static struct pk_label_set *labels(const char *text)
{
	struct pk_label_set *set = NULL;
	struct pk_err err = { 0 };

	if (pk_label_set_parse(text, &set, &err) < 0)
		fail_msg("%s: %s", text, err.text);
	return set;
}

static void a_label_set_has_one_text(void **state)
{
	struct pk_label_set *set = pk_label_set_new(), *again;

	(void)state;
	pk_label_set_add(set, "nomad:namespace", "acme");
	pk_label_set_add(set, "meta:a=b", "c=\"d\"\n");
	pk_label_set_add(set, "consul:service", "pg-ro");
	pk_label_set_add(set, "consul:service", "pg");
	pk_label_set_add(set, "consul:service", "pg");
	pk_label_set_add_unknown(set, "port:*");
	pk_label_set_add_unknown(set, "meta:*");
	assert_int_equal(pk_label_set_finish(set, NULL), 0);
	assert_string_equal(set->text,
			    "[\"consul:service=pg\",\"consul:service=pg-ro\","
			    "\"meta:a\\u003db=c=\\\"d\\\"\\u000a\",\"nomad:namespace=acme\","
			    "[\"meta:*\",\"port:*\"]]");
	assert_string_equal(set->tenant_name, "acme");
	again = labels(set->text);
	assert_string_equal(again->text, set->text);
	assert_string_equal(pk_label_set_get(again, "meta:a=b")->value, "c=\"d\"\n");
	assert_memory_equal(again->hash, set->hash, sizeof(set->hash));
	pk_label_set_free(set);
	pk_label_set_free(again);
}

static void a_text_that_is_not_canonical_is_refused(void **state)
{
	static const char *const bad[] = { "[\"b:x=1\",\"a:x=1\"]",
					   "{}",
					   "[1]",
					   "[\"nokey\"]",
					   "[\"nomad:namespace=a\",\"nomad:namespace=b\"]",
					   "[\"nomad:job=a\"]",
					   "[" };
	struct pk_label_set *set = NULL;
	struct pk_err err;

	(void)state;
	for (size_t i = 0; i < PK_ARRAY_LEN(bad); i++) {
		err = (struct pk_err){ 0 };
		assert_int_equal(pk_label_set_parse(bad[i], &set, &err), -EINVAL);
		assert_true(err.text[0]);
	}
}

static void without_a_namespace_there_is_only_quarantine(void **state)
{
	const struct pk_claims nobody = { .job = "a", .believed = true };
	struct pk_label_set *set = pk_label_set_new(), *claims, *init = pk_label_set_init();
	struct pk_settings settings;

	(void)state;
	pk_settings_init(&settings);
	claims = pk_label_set_from_claims(&nobody, &settings);
	pk_label_set_add(set, "nomad:job", "api");
	assert_int_equal(pk_label_set_finish(set, NULL), 0);
	assert_true(set->init && claims->init);
	assert_string_equal(set->text, init->text);
	assert_string_equal(claims->text, init->text);
	assert_true(pk_label_set_is_unknown(set, "nomad:job"));
	pk_label_set_add(init, "nomad:namespace", "acme");
	assert_int_equal(pk_label_set_finish(init, NULL), -EINVAL);
	pk_label_set_free(set);
	pk_label_set_free(claims);
	pk_label_set_free(init);
	pk_settings_done(&settings);
}

static void a_claim_is_unknown_until_it_is_believed(void **state)
{
	struct pk_claims claims = { .tenant_name = "acme", .job = "api", .group = "web" };
	struct pk_settings settings;
	struct pk_label_set *set;

	(void)state;
	pk_settings_init(&settings);
	snprintf(settings.region, sizeof(settings.region), "eu");
	set = pk_label_set_from_claims(&claims, &settings);
	assert_string_equal(set->text,
			    "[\"nomad:namespace=acme\",\"nomad:region=eu\",[\"consul:service\","
			    "\"meta:*\",\"nomad:datacenter\",\"nomad:group\",\"nomad:job\","
			    "\"nomad:node\",\"nomad:nodepool\",\"port:*\"]]");
	pk_label_set_free(set);
	claims.believed = true;
	set = pk_label_set_from_claims(&claims, &settings);
	assert_string_equal(set->text,
			    "[\"nomad:group=web\",\"nomad:job=api\",\"nomad:namespace=acme\","
			    "\"nomad:region=eu\"]");
	pk_label_set_free(set);
	pk_settings_done(&settings);
}

static void a_requirement_has_three_answers(void **state)
{
	static const struct {
		enum pk_op op;
		const char *set;
		enum pk_tri want;
	} rows[] = {
		{ PK_OP_IN, "[\"meta:t=db\",\"nomad:namespace=x\"]", PK_YES },
		{ PK_OP_IN, "[\"meta:t=no\",\"nomad:namespace=x\"]", PK_NO },
		{ PK_OP_IN, "[\"nomad:namespace=x\"]", PK_NO },
		{ PK_OP_IN, "[\"nomad:namespace=x\",[\"meta:*\"]]", PK_MAYBE },
		{ PK_OP_IN, "[\"nomad:namespace=x\",[\"*\"]]", PK_MAYBE },
		{ PK_OP_IN, "[\"meta:t=no\",\"nomad:namespace=x\",[\"meta:*\"]]", PK_NO },
		{ PK_OP_NOT_IN, "[\"meta:t=db\",\"nomad:namespace=x\"]", PK_NO },
		{ PK_OP_NOT_IN, "[\"nomad:namespace=x\"]", PK_YES },
		{ PK_OP_NOT_IN, "[\"nomad:namespace=x\",[\"meta:t\"]]", PK_MAYBE },
		{ PK_OP_EXISTS, "[\"meta:t=\",\"nomad:namespace=x\"]", PK_YES },
		{ PK_OP_EXISTS, "[\"nomad:namespace=x\"]", PK_NO },
		{ PK_OP_EXISTS, "[\"nomad:namespace=x\",[\"meta:*\"]]", PK_MAYBE },
		{ PK_OP_NOT_EXISTS, "[\"meta:t=1\",\"nomad:namespace=x\"]", PK_NO },
		{ PK_OP_NOT_EXISTS, "[\"nomad:namespace=x\"]", PK_YES },
		{ PK_OP_NOT_EXISTS, "[\"reserved:init=\"]", PK_MAYBE },
	};
	char *values[] = { (char *)"db" };

	(void)state;
	for (size_t i = 0; i < PK_ARRAY_LEN(rows); i++) {
		const struct pk_requirement req = {
			.key = (char *)"meta:t", .op = rows[i].op, .values = values, .n_values = 1
		};
		struct pk_label_set *set = labels(rows[i].set);

		if (pk_requirement_match(&req, set) != rows[i].want)
			fail_msg("operator %d on %s", rows[i].op, rows[i].set);
		pk_label_set_free(set);
	}
}

static void a_name_pattern_is_ciliums(void **state)
{
	static const struct {
		const char *pattern, *name;
		bool want;
	} rows[] = {
		{ "*", "a.b.c", true },
		{ "*.example.com", "api.example.com", true },
		{ "*.example.com", "example.com", false },
		{ "*.example.com", "a.b.example.com", false },
		{ "api*.example.com", "api-7.example.com", true },
		{ "api*.example.com", "xapi.example.com", false },
		{ "**.example.com", "a.b.example.com", true },
		{ "**.example.com", "example.com", false },
		{ "*.example.com", "api.example.com.evil.net", false },
		{ "API.example.com", "api.EXAMPLE.com", true },
		{ "**", "a.b.c", true },
		{ "***.example.com", "a.b.example.com", true },
		{ "***.example.com", "example.com", false },
		{ "**.*.example.com", "a.b.example.com", true },
		{ "**.*.example.com", "b.example.com", false },
		{ "a**c.example.com", "abbc.example.com", true },
		{ "**example.com", "my-example.com", true },
		{ "**example.com", "a.example.com", false },
		{ "*a*b*.example.com", "xaybz.example.com", true },
		{ "*a*b*.example.com", "xbya.example.com", false },
		{ "*.com", "a.com.net", false },
		{ "a.*", "a.b.c", false },
		{ "a.*", "a", false },
		{ "*a", "aba", true },
		{ "*-", "a.-", false },
		{ "*.", "a", true },
		{ "*.", "a.b", false },
		{ "**.", "a.b", true },
	};

	(void)state;
	for (size_t i = 0; i < PK_ARRAY_LEN(rows); i++) {
		const struct pk_fqdn f = { .pattern = (char *)rows[i].pattern };

		if (pk_fqdn_match(&f, rows[i].name) != rows[i].want)
			fail_msg("%s on %s", rows[i].pattern, rows[i].name);
	}
}

/*
 * Whoever writes the pattern doesn't decide how long it takes: by trying out every way to divide
 * the name between the stars this one would never end.
 */
static void a_name_pattern_of_many_stars_ends(void **state)
{
	char pattern[256], name[256];
	const struct pk_fqdn f = { .pattern = pattern };

	(void)state;
	for (size_t i = 0; i < 254; i += 2)
		memcpy(pattern + i, "*a", 2);
	memcpy(pattern + 252, "*b", 3);
	memset(name, 'a', 255);
	name[255] = '\0';
	assert_false(pk_fqdn_match(&f, name));
}

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

static struct pk_document *document(const char *path, const char *text)
{
	const struct pk_doc_source src = { .source = "file", .path = path };
	struct pk_doc_notes notes = { 0 };
	struct pk_document *doc = NULL;

	if (pk_document_parse(&src, text, strlen(text), &doc, &notes) < 0)
		fail_msg("%s: %s", text, notes.list[0].text);
	pk_doc_notes_done(&notes);
	return doc;
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

static void rule_numbers_stay(void **state)
{
	static const char text[] =
		"[{\"endpointSelector\":{},\"ingress\":[{\"fromEntities\":[\"host\"]},"
		"{\"fromEntities\":[\"world\"]}]}]";
	struct pk_document *docs[2] = { document("a.json", text), document("b.json", text) };
	struct pk_rules *rules;
	struct pk_rule_ref ref;
	uint32_t number;

	(void)state;
	rules = pk_rules_new(docs, 1);
	number = docs[0]->rules[0].entries[PK_INGRESS][1].number;
	assert_true(number >= PK_RULE_FIRST);
	pk_rules_free(rules);
	rules = pk_rules_new(docs, 2);
	assert_int_equal(docs[0]->rules[0].entries[PK_INGRESS][1].number, number);
	assert_int_not_equal(docs[1]->rules[0].entries[PK_INGRESS][1].number, number);
	assert_int_equal(pk_rules_find(rules, number, &ref), 0);
	assert_string_equal(ref.doc->name, "a");
	assert_int_equal(ref.entry_index, 1);
	assert_int_equal(pk_rules_find(rules, PK_RULE_PROTECTED, &ref), 0);
	assert_null(ref.doc);
	assert_int_equal(pk_rules_find(rules, 63, &ref), -ENOENT);
	pk_rules_free(rules);
	pk_document_free(docs[0]);
	pk_document_free(docs[1]);
}

/* A document whose entries say nothing, n of them. */
static struct pk_document *empty_entries(const char *path, size_t n)
{
	struct pk_document *doc;
	own_str text = { 0 };

	pk_str_add(&text, "[{\"endpointSelector\":{},\"ingress\":[{}");
	for (size_t i = 1; i < n; i++)
		pk_str_add(&text, ",{}");
	pk_str_add(&text, "]}]");
	doc = document(path, text.text);
	return doc;
}

static void assert_same_rules(struct pk_rules *got, struct pk_document *const *docs, size_t n)
{
	struct pk_rules *want;
	own_mem uint32_t *number = calloc(pk_rules_count(got) + 1, sizeof(*number));
	struct pk_rule_ref a, b;
	size_t k = 0;

	for (size_t i = 0; i < n; i++)
		for (size_t e = 0; e < docs[i]->rules[0].n_entries[PK_INGRESS]; e++)
			number[k++] = docs[i]->rules[0].entries[PK_INGRESS][e].number;
	assert_int_equal(k, pk_rules_count(got));
	want = pk_rules_new(docs, n);
	assert_int_equal(pk_rules_count(want), k);
	for (size_t i = 0; i < k; i++) {
		assert_int_equal(pk_rules_at(got, i, &a), 0);
		assert_int_equal(pk_rules_at(want, i, &b), 0);
		assert_int_equal(a.number, b.number);
		assert_ptr_equal(a.entry, b.entry);
	}
	k = 0;
	for (size_t i = 0; i < n; i++)
		for (size_t e = 0; e < docs[i]->rules[0].n_entries[PK_INGRESS]; e++)
			assert_int_equal(docs[i]->rules[0].entries[PK_INGRESS][e].number,
					 number[k++]);
	pk_rules_free(want);
}

/* Renewed from one set to the next, or made anew: the same numbers in the same places. */
static void rule_numbers_renewed(void **state)
{
	struct pk_document *all[24], *set[24], *old[24];
	struct pk_rules *rules = pk_rules_new(NULL, 0);
	unsigned int seed = 7;
	bool renumbered;
	char path[16];

	(void)state;
	for (size_t i = 0; i < PK_ARRAY_LEN(all); i++) {
		snprintf(path, sizeof(path), "d%02zu.json", i);
		all[i] = empty_entries(path, 1 + i % 5);
	}
	for (int step = 0; step < 200; step++) {
		size_t n = 0, n_old = 0;

		for (size_t i = 0; i < PK_ARRAY_LEN(all); i++) {
			if (rand_r(&seed) % 8 == 0) { /* edited */
				snprintf(path, sizeof(path), "d%02zu.json", i);
				old[n_old++] = all[i];
				all[i] = empty_entries(path, 1 + (size_t)rand_r(&seed) % 5);
			}
			if (rand_r(&seed) % 4)
				set[n++] = all[i];
		}
		rules = pk_rules_renew(rules, set, n, &renumbered);
		assert_false(renumbered);
		assert_same_rules(rules, set, n);
		for (size_t i = 0; i < n_old; i++)
			pk_document_free(old[i]);
	}
	pk_rules_free(rules);
	for (size_t i = 0; i < PK_ARRAY_LEN(all); i++)
		pk_document_free(all[i]);
}

/* So many that some hashes are equal: who comes and goes may renumber others. */
static void rule_numbers_collide(void **state)
{
	struct pk_document *docs[40];
	struct pk_rules *rules = NULL;
	bool renumbered, any = false;
	char path[16];

	(void)state;
	for (size_t i = 0; i < PK_ARRAY_LEN(docs); i++) {
		snprintf(path, sizeof(path), "c%02zu.json", i);
		docs[i] = empty_entries(path, 5000);
	}
	/* From the last to the first, so that the one that must give way is there already. */
	for (size_t n = 1; n <= PK_ARRAY_LEN(docs); n++) {
		rules = pk_rules_renew(rules, docs + PK_ARRAY_LEN(docs) - n, n, &renumbered);
		any |= renumbered;
	}
	assert_true(any);
	assert_same_rules(rules, docs, PK_ARRAY_LEN(docs));
	rules = pk_rules_renew(rules, docs, PK_ARRAY_LEN(docs) / 4, &renumbered);
	assert_same_rules(rules, docs, PK_ARRAY_LEN(docs) / 4);
	rules = pk_rules_renew(rules, docs, PK_ARRAY_LEN(docs), &renumbered);
	assert_same_rules(rules, docs, PK_ARRAY_LEN(docs));
	pk_rules_free(rules);
	for (size_t i = 0; i < PK_ARRAY_LEN(docs); i++)
		pk_document_free(docs[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_label_set_has_one_text),
		cmocka_unit_test(a_text_that_is_not_canonical_is_refused),
		cmocka_unit_test(without_a_namespace_there_is_only_quarantine),
		cmocka_unit_test(a_claim_is_unknown_until_it_is_believed),
		cmocka_unit_test(a_requirement_has_three_answers),
		cmocka_unit_test(a_name_pattern_is_ciliums),
		cmocka_unit_test(a_name_pattern_of_many_stars_ends),
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
		cmocka_unit_test(rule_numbers_stay),
		cmocka_unit_test(rule_numbers_renewed),
		cmocka_unit_test(rule_numbers_collide),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
