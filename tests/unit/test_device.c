/* SPDX-License-Identifier: Apache-2.0 */
/* What a device must be so that it counts as an endpoint's host end, and may be touched. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs those above first */
#include <cmocka.h>
#include <string.h>

#include "addr.h"
#include "lib/net/device.h"
#include "own.h"

static void test_names_have_slots(void **state)
{
	static const struct {
		const char *name;
		uint32_t slot;
	} rows[] = { { "pk1", 1 },  { "pk4096", 4096 }, { "pk0", 0 },	       { "pk007", 0 },
		     { "pk", 0 },   { "pk-1", 0 },	{ "pk1x", 0 },	       { "kp1", 0 },
		     { "eth0", 0 }, { "p1", 0 },	{ "pk99999999999", 0 } };

	(void)state;
	for (size_t i = 0; i < PK_ARRAY_LEN(rows); i++)
		if (pk_host_slot(rows[i].name) != rows[i].slot)
			fail_msg("%s: %u", rows[i].name, pk_host_slot(rows[i].name));
}

#define MAC "\0\0\0\0\0" /* stands for the gateway's */
#define LINK(is, has, named, index, other)                                                         \
	{ .kind = is, .mac = has, .name = named, .ifindex = index, .peer = other }
#define VETH(named, index, other) LINK("veth", MAC, named, index, other)

/* A foreign device that has our name is left alone: each fact that is known must be so. */
static void test_a_host_end(void **state)
{
	static const struct {
		const char *what;
		struct pk_host_end want; /* slot, ifindex, peer; 0: not known */
		struct pk_nl_link link;
		bool is;
	} rows[] = {
		{ "ours", { 5, 11, 22 }, VETH("pk5", 11, 22), true },
		{ "ours, by its name alone", { 5, 0, 0 }, VETH("pk5", 9, 8), true },
		{ "another name", { 5, 11, 22 }, VETH("pk6", 11, 22), false },
		{ "another index", { 5, 11, 22 }, VETH("pk5", 12, 22), false },
		{ "another peer", { 5, 11, 22 }, VETH("pk5", 11, 23), false },
		{ "another kind", { 5, 11, 22 }, LINK("dummy", MAC, "pk5", 11, 22), false },
		{ "another kind, its name", { 5, 0, 0 }, LINK("dummy", MAC, "pk5", 9, 0), false },
		{ "another MAC", { 5, 11, 22 }, LINK("veth", "\2abcde", "pk5", 11, 22), false },
		{ "another MAC, its name",
		  { 5, 0, 0 },
		  LINK("veth", "\2abcde", "pk5", 9, 8),
		  false },
		{ "a tap", { 5, 11, 0 }, LINK("tun", MAC, "pk5", 11, 0), true },
		{ "a tap whose MAC changed",
		  { 5, 11, 0 },
		  LINK("tun", "\2abcde", "pk5", 11, 0),
		  true },
		{ "another tap's index", { 5, 11, 0 }, LINK("tun", MAC, "pk5", 12, 0), false },
		{ "a tap, by its name alone", { 5, 0, 0 }, LINK("tun", MAC, "pk5", 9, 0), true },
		{ "somebody's tap, its name",
		  { 5, 0, 0 },
		  LINK("tun", "\2abcde", "pk5", 9, 0),
		  false },
	};

	(void)state;
	for (size_t i = 0; i < PK_ARRAY_LEN(rows); i++) {
		struct pk_nl_link link = rows[i].link;

		if (memcmp(link.mac, MAC, sizeof(link.mac)) == 0)
			memcpy(link.mac, pk_gateway_mac, sizeof(link.mac));
		if (pk_host_end_is(&link, &rows[i].want) != rows[i].is)
			fail_msg("%s", rows[i].what);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names_have_slots),
		cmocka_unit_test(test_a_host_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
