/* SPDX-License-Identifier: Apache-2.0 */
/* Records: names, round trip, strictness, closing. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "controller/loop.h"
#include "controller/model/model.h"
#include "controller/model/records.h"
#include "epstore.h"
#include "fs.h"
#include "record_json.h"
#include "str.h"

#define ID "7f3a21c4-1111-2222-3333-444455556666"

struct room {
	char dir[64];
	struct pk_paths paths;
};

static int setup(void **state)
{
	struct room *room = pk_alloc(sizeof(*room));
	struct pk_err err;

	strcpy(room->dir, "/tmp/picket-epstore-XXXXXX");
	assert_non_null(mkdtemp(room->dir));
	assert_int_equal(pk_paths_init(&room->paths, room->dir, &err), 0);
	*state = room;
	return 0;
}

static int teardown(void **state)
{
	struct room *room = *state;
	static const char *const below[] = { "var/lib/picket/endpoints", "var/lib/picket",
					     "var/lib", "var", "" };
	struct pk_record_name *list = NULL;
	size_t n = 0;
	struct pk_err err;
	char path[256];

	assert_int_equal(pk_records_list(&room->paths, &list, &n, &err), 0);
	for (size_t i = 0; i < n; i++)
		assert_int_equal(pk_record_delete(&room->paths, &list[i], &err), 0);
	free(list);
	for (size_t i = 0; i < PK_ARRAY_LEN(below); i++) {
		snprintf(path, sizeof(path), "%s/%s", room->dir, below[i]);
		rmdir(path);
	}
	free(room);
	return 0;
}

static char *copy(const char *text)
{
	char *text_copy = strdup(text);

	assert_non_null(text_copy);
	return text_copy;
}

static void fill(struct pk_record *r)
{
	memset(r, 0, sizeof(*r));
	r->container_id = copy(ID);
	r->ifname = copy("eth0");
	r->slot = 12;
	r->network = copy("picket");
	r->netns = copy("/var/run/netns/" ID);
	r->netns_inode = UINT64_MAX - 1;
	r->epoch[0] = 0xfedcba9876543210u;
	r->epoch[1] = 7;
	r->labels = copy("[\"nomad:namespace=acme\",[\"meta:*\"]]");
	r->tenant_name = copy("acme");
	r->group = copy("a \"quoted\" \xc3\xbc group");
	r->tenant = 2;
	r->identity = 9;
	assert_int_equal(pk_addr_parse("10.40.7.12", &r->ipv4), 0);
	assert_int_equal(pk_addr_parse("fd40::7:12", &r->ipv6), 0);
	r->ipv4_prefix = 16;
	assert_int_equal(pk_mac_parse("02:70:1a:2b:3c:4d", r->mac), 0);
	r->mtu = 1500;
	r->tap = copy("tap0");
	r->tap_owner = UINT32_MAX;
	r->limits.of[PK_LIMIT_BYTES + PK_INGRESS] = 1250000;
	r->bandwidth.of[PK_LIMIT_BYTES + PK_EGRESS] = 125;
	r->burst[PK_EGRESS] = 250;
	r->job_limits.of[PK_LIMIT_PACKETS + PK_INGRESS] = 7;
	r->job_limits.of[PK_LIMIT_FLOWS] = 9;
	r->ports = pk_alloc(2 * sizeof(*r->ports));
	r->n_ports = 2;
	r->ports[0] = (struct pk_record_port){ .proto = 6, .host = 24722, .container = 22 };
	r->ports[1] = (struct pk_record_port){ .proto = 17, .host = 65535, .container = 1 };
	assert_int_equal(pk_addr_parse("192.0.2.1", &r->ports[1].host_addr), 0);
	r->result = copy("{\"cniVersion\": \"1.0.0\"}\n");
}

static void test_names(void **state)
{
	static const struct {
		const char *what, *file;
		bool good;
		uint32_t slot;
		bool closed;
	} row[] = {
		{ "an open one", ID "@eth0@12", true, 12, false },
		{ "a closed one", ID "@eth0@12.closed", true, 12, true },
		{ "an id that ends like a closed one", "a.closed@eth0@1", true, 1, false },
		{ "a temporary file", "." ID "@eth0@12.4711", false, 0, false },
		{ "no slot", ID "@eth0", false, 0, false },
		{ "one of before the tables were loaded", ID "@eth0@0", true, 0, false },
		{ "a slot beyond any capacity", ID "@eth0@5000", false, 0, false },
		{ "a slot with a sign", ID "@eth0@+1", false, 0, false },
		{ "no id", "@eth0@1", false, 0, false },
		{ "no interface", ID "@@1", false, 0, false },
		{ "an interface of 16 bytes", ID "@eth0123456789012@1", false, 0, false },
		{ "somebody else's file", "README", false, 0, false },
	};

	(void)state;
	for (size_t i = 0; i < PK_ARRAY_LEN(row); i++) {
		struct pk_record_name name;
		int r = pk_record_name_parse(row[i].file, &name);

		if ((r == 0) != row[i].good ||
		    (r == 0 && (name.slot != row[i].slot || name.closed != row[i].closed)))
			fail_msg("%s: %d", row[i].what, r);
	}
}

static void test_round_trip(void **state)
{
	struct room *room = *state;
	own_record wrote = { 0 }, read = { 0 };
	PK_OWN(pk_str_done) struct pk_str a = { 0 }, b = { 0 };
	struct pk_record_name name;
	struct pk_err err = { 0 };

	fill(&wrote);
	assert_int_equal(pk_record_write(&room->paths, &wrote, &err), 0);
	assert_int_equal(pk_record_find(&room->paths, ID, "eth0", &name, &err), 0);
	assert_int_equal(pk_record_read(&room->paths, &name, &read, &err), 0);
	pk_record_encode(&wrote, &a);
	pk_record_encode(&read, &b);
	assert_string_equal(a.text, b.text);
	assert_int_equal(read.netns_inode, UINT64_MAX - 1);
	assert_int_equal(read.epoch[0], 0xfedcba9876543210u);
	assert_int_equal(read.tap_owner, UINT32_MAX);
	assert_null(read.job);
	assert_string_equal(read.group, wrote.group);
	assert_int_equal(read.n_ports, 2);
	assert_memory_equal(&read.ports[1].host_addr, &wrote.ports[1].host_addr, 16);
}

/* An earlier release's ADD published SCTP: the mapping goes, and the rest of the record stays. */
static void test_untranslated(void **state)
{
	struct room *room = *state;
	own_record wrote = { 0 }, read = { 0 };
	struct pk_record_name name;
	struct pk_err err;

	fill(&wrote);
	wrote.ports[0].proto = IPPROTO_SCTP;
	assert_int_equal(pk_record_write(&room->paths, &wrote, &err), 0);
	assert_int_equal(pk_record_find(&room->paths, ID, "eth0", &name, &err), 0);
	assert_int_equal(pk_record_read(&room->paths, &name, &read, &err), 0);
	assert_int_equal(read.n_ports, 1);
	assert_int_equal(read.n_untranslated, 1);
	assert_int_equal(read.ports[0].proto, 17);
	assert_int_equal(read.ports[0].host, 65535);
	assert_string_equal(read.group, wrote.group);
}

static void test_life(void **state)
{
	struct room *room = *state;
	own_record record = { 0 };
	own_mem struct pk_record_name *list = NULL;
	struct pk_record_name name;
	struct pk_err err = { 0 };
	char text[256];
	size_t n = 1;

	assert_int_equal(pk_records_list(&room->paths, &list, &n, &err), 0);
	assert_int_equal(n, 0);
	assert_int_equal(pk_record_find(&room->paths, ID, "eth0", &name, &err), -ENOENT);
	fill(&record);
	assert_int_equal(pk_record_write(&room->paths, &record, &err), 0);
	record.slot = 13;
	assert_int_equal(pk_record_find(&room->paths, ID, "eth0", &name, &err), 0);
	assert_int_equal(name.slot, 12);
	assert_string_equal(pk_record_owner(&name, text), ID "@eth0");
	assert_int_equal(pk_record_close(&room->paths, &name, &err), 0);
	assert_int_equal(pk_record_find(&room->paths, ID, "eth0", &name, &err), -ENOENT);
	assert_int_equal(pk_record_write(&room->paths, &record, &err), 0);
	assert_int_equal(pk_records_list(&room->paths, &list, &n, &err), 0);
	assert_int_equal(n, 2);
	assert_false(list[0].closed);
	assert_int_equal(list[0].slot, 13);
	assert_true(list[1].closed);
	/* closing or deleting what is gone is success */
	assert_int_equal(pk_record_close(&room->paths, &list[1], &err), 0);
	assert_int_equal(pk_record_delete(&room->paths, &list[1], &err), 0);
	assert_int_equal(pk_record_delete(&room->paths, &list[1], &err), 0);
}

static void replace(struct pk_str *text, const char *from, const char *to)
{
	PK_OWN(pk_str_done) struct pk_str out = { 0 };
	char *at = strstr(text->text, from);

	assert_non_null(at);
	pk_str_addn(&out, text->text, (size_t)(at - text->text));
	pk_str_add(&out, to);
	pk_str_add(&out, at + strlen(from));
	pk_str_done(text);
	*text = PK_MOVE(out, (struct pk_str){ 0 });
}

static void test_strict(void **state)
{
	static const struct {
		const char *what, *from, *to;
	} row[] = {
		{ "a missing key", "\"mtu\": 1500,", "" },
		{ "a slot as text", "\"slot\": 12", "\"slot\": \"12\"" },
		{ "a negative number", "\"mtu\": 1500", "\"mtu\": -1" },
		{ "a fraction", "\"mtu\": 1500", "\"mtu\": 1.5" },
		{ "a flag as number", "\"tcx\": false", "\"tcx\": 0" },
		{ "a bad address", "10.40.7.12", "10.40.7.312" },
		{ "a bad MAC", "02:70:1a", "02:70:1" },
		{ "a short epoch", "fedcba9876543210", "fedcba987654321" },
		{ "another version", "\"version\": 1", "\"version\": 2" },
		{ "a prefix beyond 32", "\"ipv4Prefix\": 16", "\"ipv4Prefix\": 33" },
		{ "a port beyond 65535", "24722", "65536" },
		{ "a port without protocol", "\"protocol\": 6,", "" },
		{ "bytes after the end", "\n}\n", "\n}\n{}" },
		{ "a container id of null", "\"" ID "\"", "null" },
	};
	own_record record = { 0 };

	(void)state;
	fill(&record);
	for (size_t i = 0; i < PK_ARRAY_LEN(row); i++) {
		PK_OWN(pk_str_done) struct pk_str text = { 0 };
		struct pk_record read = { .slot = 99 };
		struct pk_err err = { 0 };

		pk_record_encode(&record, &text);
		assert_int_equal(pk_record_decode("r", text.text, text.len, &read, &err), 0);
		pk_record_done(&read);
		read.slot = 99;
		replace(&text, row[i].from, row[i].to);
		if (pk_record_decode("r", text.text, text.len, &read, &err) >= 0)
			fail_msg("%s was taken", row[i].what);
		if (read.slot != 99 || !err.text[0])
			fail_msg("%s: record touched or no text", row[i].what);
	}
}

/* The release before this one wrote records without it; their endpoints live on. */
static void test_older(void **state)
{
	PK_OWN(pk_str_done) struct pk_str text = { 0 };
	own_record record = { 0 }, read = { 0 };
	struct pk_err err = { 0 };

	(void)state;
	fill(&record);
	record.masquerade6 = true;
	pk_record_encode(&record, &text);
	assert_int_equal(pk_record_decode("r", text.text, text.len, &read, &err), 0);
	assert_true(read.masquerade6);
	pk_record_done(&read);
	replace(&text, "\"masquerade6\": true,", "");
	read = (struct pk_record){ 0 };
	assert_int_equal(pk_record_decode("r", text.text, text.len, &read, &err), 0);
	assert_false(read.masquerade6);
}

static void test_wrong_name(void **state)
{
	struct room *room = *state;
	own_record record = { 0 }, read = { 0 };
	struct pk_record_name name;
	struct pk_err err = { 0 };
	char from[1024], to[1024];

	fill(&record);
	assert_int_equal(pk_record_write(&room->paths, &record, &err), 0);
	snprintf(from, sizeof(from), "%s/" ID "@eth0@12", room->paths.endpoints);
	snprintf(to, sizeof(to), "%s/" ID "@eth0@14", room->paths.endpoints);
	assert_int_equal(rename(from, to), 0);
	assert_int_equal(pk_record_find(&room->paths, ID, "eth0", &name, &err), 0);
	assert_int_equal(pk_record_read(&room->paths, &name, &read, &err), -EINVAL);
	assert_int_equal(err.code, PK_CODE_STATE);
	/* names that would leave the directory are refused */
	free(record.container_id);
	record.container_id = copy("../x");
	assert_int_equal(pk_record_write(&room->paths, &record, &err), -EINVAL);
}

/* A pass follows where a look finds something else than the last one did, and only there. */
static void test_looks(void **state)
{
	struct room *room = *state;
	struct pk_settings settings;
	struct pk_model_args model = { .settings = &settings };
	struct pk_records_args args = { .paths = &room->paths };
	struct pk_record_name name;
	struct pk_records *looked;
	struct pk_record r;
	struct pk_err err;

	pk_settings_init(&settings);
	model.docs = pk_docs_new(NULL);
	args.loop = pk_loop_new();
	args.model = pk_model_new(&model);
	looked = pk_records_new(&args);
	fill(&r);
	pk_records_set_epoch(looked, r.epoch);
	assert_int_equal(pk_record_name_of(r.container_id, r.ifname, r.slot, &name), 0);
	assert_false(pk_records_look_at(looked, &name));
	assert_int_equal(pk_record_write(&room->paths, &r, &err), 0);
	assert_true(pk_records_look_at(looked, &name));
	assert_int_equal(pk_model_count(args.model), 1);
	assert_false(pk_records_look_at(looked, &name));
	assert_false(pk_records_look(looked));
	assert_int_equal(pk_record_delete(&room->paths, &name, &err), 0);
	assert_false(pk_records_look_at(looked, &name));
	assert_true(pk_records_look(looked));
	assert_int_equal(pk_model_count(args.model), 0);
	pk_record_done(&r);
	pk_records_free(looked);
	pk_model_free(args.model);
	pk_docs_free(model.docs);
	pk_loop_free(args.loop);
	pk_settings_done(&settings);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test_setup_teardown(test_round_trip, setup, teardown),
		cmocka_unit_test_setup_teardown(test_untranslated, setup, teardown),
		cmocka_unit_test_setup_teardown(test_life, setup, teardown),
		cmocka_unit_test(test_strict),
		cmocka_unit_test(test_older),
		cmocka_unit_test_setup_teardown(test_wrong_name, setup, teardown),
		cmocka_unit_test_setup_teardown(test_looks, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
