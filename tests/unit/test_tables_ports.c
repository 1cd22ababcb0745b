/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Published ports in real maps: a mapping on every address stands under the address all zero, those
 * on single ones have a marker there, and no two endpoints hold what overlaps.
 */
#include "kernel_room.h"

#include <arpa/inet.h>
#include <errno.h>

#define TCP    6
#define UDP    17
#define TENANT 3
#define SLOTS  3

static uint32_t slots[SLOTS];

static struct pk_bpf *b(void)
{
	return room.bpf;
}

static struct pk_published_key key_of(const char *address, uint8_t proto, uint16_t port)
{
	struct pk_published_key key = { .proto = proto, .port = htons(port) };

	if (*address)
		assert_int_equal(pk_addr_parse(address, &key.addr), 0);
	return key;
}

/* The slot that the table has there, -1 = no entry; the marker is 0. */
static int at(const char *address, uint8_t proto, uint16_t port)
{
	struct pk_published_key key = key_of(address, proto, port);
	struct pk_published is;

	return pk_map_get(b()->map[PK_MAP_PUBLISHED], &key, &is) < 0 ? -1 : (int)is.slot;
}

static int note_port(void *arg, const void *key, const void *value)
{
	const uint16_t port = ntohs(((const struct pk_published_key *)key)->port);
	uint64_t *bits = arg;

	(void)value;
	bits[PK_PORT_WORD(port)] |= PK_PORT_BIT(port);
	return 0;
}

/* Each port of the table has its bit, and no other has one. */
static void bits_fit(void)
{
	uint64_t want[PK_PORT_WORDS] = { 0 }, is[PK_PORT_WORDS];

	pk_map_each(b()->map[PK_MAP_PUBLISHED], note_port, want);
	assert_int_equal(pk_map_get_range(b()->map[PK_MAP_PUBLISHED_PORTS], 0, PK_PORT_WORDS, is),
			 0);
	assert_memory_equal(is, want, sizeof(is));
}

static void bit_alone(uint16_t port)
{
	const uint32_t word = PK_PORT_WORD(port);
	const uint64_t bits = PK_PORT_BIT(port);

	assert_int_equal(pk_map_set(b()->map[PK_MAP_PUBLISHED_PORTS], &word, &bits, 0), 0);
}

/* Opens endpoint i with these mappings; the result of the open. */
static int open_with(int i, const struct pk_published_key *keys, size_t n)
{
	struct pk_endpoint ep = { .host_ifindex = 6000 + (uint32_t)i, .mtu = 1500 };
	struct pk_publish publish[4] = { 0 };
	struct pk_endpoint_open open = { .slot = slots[i],
					 .labels = { .identity = 9, .tenant = TENANT },
					 .published = publish,
					 .n_published = n };
	char text[32];

	snprintf(text, sizeof(text), "10.40.0.%d", 10 + i);
	assert_int_equal(pk_addr_parse(text, &ep.ipv4), 0);
	assert_ok(pk_endpoint_write(b(), slots[i], &ep, &e));
	for (size_t k = 0; k < n; k++)
		publish[k] = (struct pk_publish){ .from = keys[k],
						  .to = { .port = htons((uint16_t)(8000 + k)) } };
	return pk_endpoint_open(b(), &open, IN_A_WHILE, NULL);
}

static int open_one(int i, const char *address, uint8_t proto, uint16_t port)
{
	struct pk_published_key key = key_of(address, proto, port);
	int r = open_with(i, &key, 1);

	bits_fit();
	return r;
}

static void shut(int i)
{
	assert_ok(pk_endpoint_close(b(), slots[i], IN_A_WHILE, &e));
	bits_fit();
}

static size_t count(void)
{
	size_t n = 0;

	assert_int_equal(pk_map_count(b()->map[PK_MAP_PUBLISHED], &n), 0);
	return n;
}

static void test_on_every_address(void **state)
{
	struct pk_published_key key = key_of("", TCP, 80);
	struct pk_published is;

	(void)state;
	NEED_ROOM();
	assert_int_equal(open_one(0, "", TCP, 80), 0);
	assert_int_equal(at("", TCP, 80), slots[0]);
	assert_int_equal(pk_map_get(b()->map[PK_MAP_PUBLISHED], &key, &is), 0);
	assert_int_equal(ntohs(is.port), 8000);
	assert_int_equal(count(), 1);
	/* Nobody else has it, on every address or on one, of either family. */
	assert_int_equal(open_one(1, "", TCP, 80), -EADDRINUSE);
	assert_int_equal(open_one(1, "192.0.2.2", TCP, 80), -EADDRINUSE);
	assert_int_equal(open_one(1, "2001:db8::2", TCP, 80), -EADDRINUSE);
	assert_int_equal(count(), 1);
	/* Another protocol and another port are other mappings. */
	assert_int_equal(open_one(1, "", UDP, 80), 0);
	assert_int_equal(open_one(2, "", TCP, 81), 0);
	shut(1);
	shut(2);
	assert_int_equal(at("", TCP, 80), slots[0]);
	shut(0);
	assert_int_equal(count(), 0);
}

static void test_on_single_addresses(void **state)
{
	(void)state;
	NEED_ROOM();
	assert_int_equal(open_one(0, "192.0.2.2", TCP, 80), 0);
	assert_int_equal(at("192.0.2.2", TCP, 80), slots[0]);
	assert_int_equal(at("", TCP, 80), 0);
	assert_int_equal(open_one(1, "192.0.2.3", TCP, 80), 0);
	assert_int_equal(open_one(2, "192.0.2.3", TCP, 80), -EADDRINUSE);
	assert_int_equal(open_one(2, "", TCP, 80), -EADDRINUSE);
	assert_int_equal(at("", TCP, 80), 0);
	/* The marker goes with the last of them. */
	shut(0);
	assert_int_equal(at("", TCP, 80), 0);
	assert_int_equal(at("192.0.2.2", TCP, 80), -1);
	assert_int_equal(open_one(2, "", TCP, 80), -EADDRINUSE);
	shut(1);
	assert_int_equal(count(), 0);
	assert_int_equal(open_one(2, "", TCP, 80), 0);
	shut(2);
}

static void test_one_endpoint_may_have_both(void **state)
{
	struct pk_published_key keys[] = { key_of("192.0.2.2", TCP, 80), key_of("", TCP, 80),
					   key_of("192.0.2.3", TCP, 80),
					   key_of("192.0.2.4", UDP, 53) };

	(void)state;
	NEED_ROOM();
	assert_int_equal(open_with(0, keys, 4), 0);
	assert_int_equal(at("", TCP, 80), slots[0]);
	assert_int_equal(at("", UDP, 53), 0);
	shut(0);
	assert_int_equal(count(), 0);
}

/* What an endpoint wrote before the one that is refused is taken back, and only that. */
static void test_a_refused_one_leaves_nothing(void **state)
{
	struct pk_published_key keys[] = { key_of("192.0.2.3", TCP, 80), key_of("", UDP, 53),
					   key_of("192.0.2.2", TCP, 80) };

	(void)state;
	NEED_ROOM();
	assert_int_equal(open_one(0, "192.0.2.2", TCP, 80), 0);
	assert_int_equal(open_with(1, keys, 3), -EADDRINUSE);
	assert_int_equal(pk_published_holder(b(), &keys[2], slots[1]), slots[0]);
	assert_int_equal(pk_published_holder(b(), &keys[0], slots[1]), 0);
	assert_int_equal(count(), 2);
	assert_int_equal(at("192.0.2.2", TCP, 80), slots[0]);
	assert_int_equal(at("", TCP, 80), 0);
	shut(0);
	assert_int_equal(count(), 0);
}

/* A process that was killed between a port's bit, the marker and its mapping. */
static void test_what_stands_alone_is_nobodys(void **state)
{
	struct pk_published_key any = key_of("", TCP, 80), other = key_of("", TCP, 81);
	const struct pk_published marker = { 0 };

	(void)state;
	NEED_ROOM();
	assert_int_equal(pk_map_set(b()->map[PK_MAP_PUBLISHED], &any, &marker, 0), 0);
	assert_int_equal(pk_map_set(b()->map[PK_MAP_PUBLISHED], &other, &marker, 0), 0);
	bit_alone(81);
	bit_alone(443);
	assert_int_equal(open_with(0, &any, 1), 0);
	assert_int_equal(at("", TCP, 80), slots[0]);
	shut(0);
	assert_int_equal(count(), 0); /* the other one too */
}

static int set_up(void **state)
{
	int r = room_load(state);

	if (r < 0 || !room.made)
		return r;
	for (int i = 0; i < SLOTS; i++) {
		struct pk_image *image = pk_alloc(sizeof(*image));
		uint32_t base;
		char owner[16];

		image->refs = 1;
		image->digest[0] = 4711;
		image->verdicts = pk_alloc(sizeof(*image->verdicts));
		image->n_verdicts = 1;
		image->verdicts[0].key = (struct pk_verdict_key){ .prefixlen = PK_VERDICT_BITS_DIR,
								  .class = PK_CLASS_FIRST };
		r = pk_rule_set_install_base(b(), image, TENANT, IN_A_WHILE, &base, NULL);
		pk_image_unref(image);
		snprintf(owner, sizeof(owner), "e%d@eth0", i);
		if (r == 0)
			r = pk_slot_take(b(), owner, IN_A_WHILE, &slots[i], NULL);
		if (r < 0)
			return r;
	}
	return 0;
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_on_every_address),
		cmocka_unit_test(test_on_single_addresses),
		cmocka_unit_test(test_one_endpoint_may_have_both),
		cmocka_unit_test(test_a_refused_one_leaves_nothing),
		cmocka_unit_test(test_what_stands_alone_is_nobodys),
	};

	return cmocka_run_group_tests(tests, set_up, room_leave);
}
