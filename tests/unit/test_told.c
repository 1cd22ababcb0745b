/* SPDX-License-Identifier: Apache-2.0 */
/* Resolvers and search list as options: the bytes of RFC 2132, 3397, 3646 and 8106. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "told.h"

static size_t encode(const char *const *servers, const char *search, struct pk_answers *out)
{
	union pk_addr list[8];
	struct pk_told told = { .servers = list, .search = search };

	for (; servers && *servers; servers++)
		assert_int_equal(pk_addr_parse(*servers, &list[told.n_servers++]), 0);
	return pk_told_encode(&told, out);
}

#define IS(field, length, bytes)                                                                   \
	do {                                                                                       \
		static const uint8_t want[sizeof(field)] = bytes;                                  \
		assert_int_equal(length, sizeof(bytes) - 1);                                       \
		assert_memory_equal(field, want, sizeof(field));                                   \
	} while (0)

static void all(void **state)
{
	static const char *const servers[] = { "10.0.0.53", "fd00::53", "10.0.0.54", NULL };
	struct pk_answers a;

	(void)state;
	assert_int_equal(encode(servers, "ab.example  c.", &a), 0);
	IS(a.servers4, 10, "\6\x08\x0a\0\0\x35\x0a\0\0\x36");
	IS(a.domains4, a.domains4_len,
	   "\x0f\x0a"
	   "ab.example"
	   "\x77\x0f"
	   "\2ab\7example\0"
	   "\1c\0");
	IS(a.dhcp6, a.dhcp6_len,
	   "\0\x17\0\x10"
	   "\xfd\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x53"
	   "\0\x18\0\x0f"
	   "\2ab\7example\0"
	   "\1c\0");
	IS(a.ra, a.ra_len,
	   "\x19\3\0\0\0\0\7\x08"
	   "\xfd\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x53"
	   "\x1f\3\0\0\0\0\7\x08"
	   "\2ab\7example\0"
	   "\1c\0"
	   "\0");
}

static void nothing(void **state)
{
	static const struct pk_answers none;
	struct pk_answers a;

	(void)state;
	assert_int_equal(encode(NULL, NULL, &a), 0);
	assert_memory_equal(&a, &none, sizeof(a));
	assert_int_equal(encode(NULL, "  ", &a), 0);
	assert_memory_equal(&a, &none, sizeof(a));
}

/* As many servers of a family as resolv.conf(5) has; the others aren't told. */
static void many_servers(void **state)
{
	static const char *const servers[] = { "10.0.0.1", "10.0.0.2", "fd00::1", "fd00::2",
					       "10.0.0.3", "10.0.0.4", "fd00::3", NULL };
	struct pk_answers a;

	(void)state;
	assert_int_equal(encode(servers, NULL, &a), 0);
	assert_int_equal(a.servers4[1], 12);
	assert_int_equal(a.servers4[13], 3);
	assert_int_equal(a.dhcp6_len, 4 + 48);
	assert_int_equal(a.dhcp6[3], 48);
	assert_int_equal(a.ra_len, 8 + 48);
	assert_int_equal(a.ra[1], 7);
	assert_int_equal(a.ra[55], 3);
	assert_int_equal(a.domains4_len, 0);
}

/* What is no name stays out, and is counted; the first that is one is the host's domain. */
static void bad_names(void **state)
{
	static const char label[] =
		"0123456789012345678901234567890123456789012345678901234567890123";
	char search[700];
	struct pk_answers a;

	(void)state;
	assert_int_equal(encode(NULL, ". a..b .c ok", &a), 3);
	IS(a.domains4, a.domains4_len,
	   "\x0f\2ok"
	   "\x77\4"
	   "\2ok\0");
	snprintf(search, sizeof(search), "%s %.63s", label, label); /* 64 and 63 characters */
	assert_int_equal(encode(NULL, search, &a), 1);
	assert_int_equal(a.domains4[1], 63);
	assert_int_equal(a.dhcp6[4], 63);
	/* 255 bytes on the wire are a name, one more isn't; for DHCP's one option it is too long. */
	snprintf(search, sizeof(search), "%.63s.%.63s.%.63s.%.61s", label, label, label, label);
	assert_int_equal(encode(NULL, search, &a), 1);
	assert_int_equal(a.domains4_len, 0);
	snprintf(search, sizeof(search), "%.63s.%.63s.%.63s.%.62s ok", label, label, label, label);
	assert_int_equal(encode(NULL, search, &a), 1);
	assert_int_equal(a.domains4[1], 2);
}

/* A name that has no room stays out as a whole; one behind it that has room doesn't. */
static void room(void **state)
{
	static const char *const servers[] = { "fd00::1", "fd00::2", "fd00::3", NULL };
	static const char label[] = "012345678901234567890123456789012345678901234567890";
	char search[700];
	struct pk_answers a;

	(void)state;
	snprintf(search, sizeof(search), "%.51s %.51s %.51s %.51s %.51s b", label, label, label,
		 label, label);
	assert_int_equal(encode(servers, search, &a), 2);
	assert_int_equal(a.domains4_len, 2 + 51 + 2 + 3 * 53 + 3);
	assert_int_equal(a.dhcp6_len, 4 + 48 + 4 + 3 * 53 + 3);
	assert_int_equal(a.ra_len, 8 + 48 + 8 + 3 * 53 + 3 + 6);
	assert_int_equal(a.ra[57], (8 + 3 * 53 + 3 + 6) / 8);
	assert_int_equal(a.domains4[54], 3 * 53 + 3);
}

/* DHCP's alone, and behind the search list: it takes no name's room. */
static void host(void **state)
{
	static const char label[] = "0123456789012345678901234567890123456789012345678901234567890";
	char search[700];
	struct pk_told told = { .search = "ok", .host = "api-3f1c7a52" };
	struct pk_answers a;

	(void)state;
	assert_int_equal(pk_told_encode(&told, &a), 0);
	IS(a.domains4, a.domains4_len,
	   "\x0f\2ok"
	   "\x77\4"
	   "\2ok\0"
	   "\x0c\x0c"
	   "api-3f1c7a52");
	assert_int_equal(a.dhcp6_len, 4 + 4);
	told.search = NULL;
	pk_told_encode(&told, &a);
	assert_int_equal(a.domains4_len, 2 + 12);
	/* 224 bytes: domain 63, list 2 + 2 x 63, 33 are left; a name of 31 characters fits. */
	snprintf(search, sizeof(search), "%.61s %.61s", label, label);
	told.search = search;
	told.host = label + 61 - 31;
	assert_int_equal(pk_told_encode(&told, &a), 0);
	assert_int_equal(a.domains4_len, 63 + 2 + 2 * 63 + 33);
	told.host = label + 61 - 32;
	assert_int_equal(pk_told_encode(&told, &a), 0);
	assert_int_equal(a.domains4_len, 63 + 2 + 2 * 63);
}

/* RFC 1123: what is asked for where it is one, else the job's name made one. */
static void host_names(void **state)
{
	static const char id[] = "3f1c7a52-0000-4000-8000-000000000001";
	static const char longest[] =
		"a23456789012345678901234567890123456789012345678901234567890123";
	static const struct {
		const char *asked, *job, *is;
	} list[] = {
		{ NULL, "api", "api-3f1c7a52" },
		{ "web", "api", "web" },
		{ "Mail-1.corp", "api", "Mail-1.corp" },
		{ longest, "api", longest },
		{ "", "api", "api-3f1c7a52" },
		{ "-web", "api", "api-3f1c7a52" },
		{ "web-", "api", "api-3f1c7a52" },
		{ "a..b", "api", "api-3f1c7a52" },
		{ "a-.b", "api", "api-3f1c7a52" },
		{ ".a", "api", "api-3f1c7a52" },
		{ "a b", "api", "api-3f1c7a52" },
		{ "10.0.0.1", "api", "api-3f1c7a52" },
		{ "web-${NOMAD_ALLOC_INDEX}", "api", "api-3f1c7a52" },
		{ NULL, "_Team A/api v2!", "team-a-api-v2-3f1c7a52" },
		{ NULL, longest,
		  "a23456789012345678901234567890123456789012345678901234-3f1c7a52" },
		{ NULL, "\xc3\xa9", "" },
		{ NULL, NULL, "" },
	};
	char text[PK_TOLD_HOST + 1];

	(void)state;
	for (size_t i = 0; i < sizeof(list) / sizeof(*list); i++) {
		pk_told_host(list[i].asked, list[i].job, id, text);
		assert_string_equal(text, list[i].is);
	}
	pk_told_host(NULL, "api", "--", text);
	assert_string_equal(text, "api");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all),		cmocka_unit_test(nothing),
		cmocka_unit_test(many_servers), cmocka_unit_test(bad_names),
		cmocka_unit_test(room),		cmocka_unit_test(host),
		cmocka_unit_test(host_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
