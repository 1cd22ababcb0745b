/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What nodes say of themselves, and a node named "me" that hears it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "believed.h"
#include "own.h"
#include "share.h"

static struct pk_believed *b;
static struct pk_engine *engine;
static struct pk_remotes *remotes;
static struct pk_prefix range[1], pools[1];
static bool ahead; /* each text is read ahead, before it is said */

static inline int begin(void **state)
{
	struct pk_settings settings;

	(void)state;
	pk_settings_init(&settings);
	engine = pk_engine_new(&settings);
	pk_settings_done(&settings);
	pk_engine_set_documents(engine, NULL, 0);
	remotes = pk_remotes_new(engine);
	b = pk_believed_new("me");
	assert_int_equal(pk_prefix_parse("10.64.0.0/16", &range[0]), 0);
	assert_int_equal(pk_prefix_parse("10.64.1.0/24", &pools[0]), 0);
	return 0;
}

static inline int end(void **state)
{
	(void)state;
	pk_believed_free(b);
	pk_remotes_free(remotes);
	pk_engine_free(engine);
	return 0;
}

static inline int say(const char *key, const char *text, uint64_t created, bool doubt)
{
	const struct pk_said said = { .key = key,
				      .text = text,
				      .len = strlen(text),
				      .created = created,
				      .modified = created,
				      .live = true,
				      .doubt = doubt,
				      .now = 1000 };

	if (ahead)
		pk_believed_read_ahead(b, &said);
	return pk_believed_say(b, &said);
}

static inline unsigned int settle(void)
{
	const struct pk_believed_world world = {
		.range = range, .pools = pools, .n_range = 1, .n_pools = 1
	};

	return pk_believed_settle(b, &world, remotes);
}

#define NODE(number, block)                                                                        \
	"{\"version\":1,\"number\":" number ",\"blocks\":[\"" block                                \
	"\"],\"addresses\":[\"192.0.2.9\"]}"
#define SHARE(number, generation, address)                                                                 \
	"{\"version\":1,\"number\":" number                                                                \
	",\"endpoints\":[{\"id\":\"c@eth0\",\"generation\":" generation                                    \
	",\"labels\":\"[\\\"nomad:namespace=acme\\\"]\",\"ports\":{\"http\":80},\"addresses\":[\"" address \
	"\"]}]}"

static inline const struct pk_remote_endpoint *at(const char *text)
{
	union pk_addr addr;

	assert_int_equal(pk_addr_parse(text, &addr), 0);
	return pk_remotes_by_address(remotes, &addr);
}
