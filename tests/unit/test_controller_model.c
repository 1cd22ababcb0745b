/* SPDX-License-Identifier: Apache-2.0 */
/* Endpoints, facts and documents in the engine. */
#include "controller/model/model_private.h"
#include "tests/unit/model_fixture.h"

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
	const struct pk_doc_origin origin = { .source = "file", .path = "/p/d.json" };
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
	assert_true(pk_docs_offer(f->docs, &origin, deny, strlen(deny)));
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

/* Many that come in one turn, in no order and two endpoints each, are there once; then most go. */
static void test_many_tenants_in_one_turn(void **state)
{
	struct fixture *f = *state;
	char name[16], id[24];

	for (unsigned int i = 0; i < 600; i++) {
		snprintf(name, sizeof(name), "t%03u", i * 7 % 300);
		snprintf(id, sizeof(id), "id%03u", i);
		put_in(f, name, id, i % 100 + 1, "api");
	}
	assert_int_equal(tenants(f), 300);
	for (unsigned int i = 0; i < 300; i++) {
		snprintf(name, sizeof(name), "t%03u", i);
		assert_string_equal(pk_model_tenant(f->model, i), name);
		assert_non_null(pk_engine_base(pk_model_engine(f->model), name));
	}
	for (unsigned int i = 0; i < 600; i++) {
		snprintf(id, sizeof(id), "id%03u@eth0", i);
		if (i * 7 % 300 != 5)
			assert_true(pk_model_remove(f->model, id));
	}
	assert_int_equal(tenants(f), 1 + 32);
	assert_true(pk_model_tenant_dropped(f->model));
	for (unsigned int i = 0; i < 300; i++) {
		snprintf(name, sizeof(name), "t%03u", i);
		assert_int_equal(pk_model_has_tenant(f->model, name), i == 5 || i >= 268);
		assert_int_equal(pk_engine_base(pk_model_engine(f->model), name) != NULL,
				 i == 5 || i >= 268);
	}
}

/* More than the list had room for at first; a key that isn't there takes nobody else along. */
/* Walks over all endpoints, which are in order; returns how many there are. */
static size_t walk(const struct pk_model *m)
{
	const struct pk_local_endpoint *before = NULL, *ep = NULL;
	size_t n = 0;

	for (; (ep = pk_model_next(m, ep)); n++, before = ep)
		assert_true(!before || strcmp(before->key, ep->key) < 0);
	return n;
}

static void test_many_endpoints(void **state)
{
	struct fixture *f = *state;
	const struct pk_local_endpoint *ep;
	char id[16];

	for (uint32_t i = 1; i <= 200; i++) {
		snprintf(id, sizeof(id), "a%03u", i);
		put(f, id, i, "api");
		assert_int_equal(pk_model_count(f->model), i);
	}
	assert_int_equal(walk(f->model), 200);
	assert_int_equal(f->model->searches, 0);
	/* A walk goes on behind the same one when another walk, or a new endpoint, came in between. */
	ep = pk_model_next(f->model, pk_model_next(f->model, NULL));
	assert_int_equal(walk(f->model), 200);
	put(f, "a000", 201, "api");
	assert_string_equal(pk_model_next(f->model, ep)->key, "a003@eth0");
	assert_int_equal(f->model->searches, 1);
	assert_true(pk_model_remove(f->model, "a000@eth0"));
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_claims_then_facts, setup, teardown),
		cmocka_unit_test_setup_teardown(test_lists, setup, teardown),
		cmocka_unit_test_setup_teardown(test_addresses, setup, teardown),
		cmocka_unit_test_setup_teardown(test_compiled, setup, teardown),
		cmocka_unit_test_setup_teardown(test_facts_are_tidied, setup, teardown),
		cmocka_unit_test_setup_teardown(test_tenants_that_left, setup, teardown),
		cmocka_unit_test_setup_teardown(test_many_tenants_in_one_turn, setup, teardown),
		cmocka_unit_test_setup_teardown(test_many_endpoints, setup, teardown),
	};

	return cmocka_run_group_tests_name("controller: model", tests, NULL, NULL);
}
