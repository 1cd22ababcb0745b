// SPDX-License-Identifier: Apache-2.0
/* The guard in user space as one of the test's parties. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "tests/model/cast.h"
#include "tests/model/user/user.h"

#define ROOM 4096

/* In the first 4 GiB; two bytes of room align IP. */
static uint8_t *memory(void)
{
	static uint8_t *area;

	if (area)
		return area + 2;
	area = mmap(NULL, ROOM, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1,
		    0);
	if (area == MAP_FAILED) {
		perror("model-test: memory below 4 GiB");
		exit(1);
	}
	user_tables();
	return area + 2;
}

static void begin(const struct world *w)
{
	memory();
	tables_empty();
	user_eighths = BEGIN;
	world_fill(w, user_eighths * EIGHTH_NS, table_put);
}

static void age(uint64_t eighths)
{
	user_eighths += eighths;
}

/* A tap's frame is linear as far as its writer likes, but for the Ethernet header. */
static uint32_t linear(const struct step *s)
{
	uint32_t len = s->frame.len;

	if (s->hook == AT_UPLINK || len <= L3)
		return len;
	return L3 + (len * 2654435761u >> 8) % (len - L3 + 1);
}

static void run(const struct step *s, struct result *r)
{
	static const enum user_program programs[] = { USER_FROM, USER_TO, USER_UP };
	struct user_packet p = {
		.bytes = memory(),
		.len = s->frame.len,
		.linear = linear(s),
		.room = ROOM - 2,
		.ifindex = s->hook == AT_UPLINK ? UPLINK : cast_device(s->slot),
		.ingress_ifindex = s->forwarded ? UPLINK : 0,
		.gso_size = s->beside.gso,
		.gso_type = s->beside.gso_type,
		.sum_start = s->beside.sum_start,
		.sum_offset = s->beside.sum_offset,
		.vlan = s->beside.vlan,
		.partial = s->beside.partial,
	};

	memcpy(p.bytes, s->frame.b, s->frame.len);
	r->verdict = user_run(programs[s->hook], &p);
	r->target = p.target;
	r->out.len = p.len;
	memcpy(r->out.b, p.bytes, p.len < FRAME_ROOM ? p.len : FRAME_ROOM);
}

static uint64_t counter(uint32_t row)
{
	const struct pk_counter *all = table_all("counters");

	return all[row].packets;
}

static void counters(uint64_t rows[ROWS])
{
	for (uint32_t i = 0; i < ROWS; i++)
		rows[i] = counter(i);
}

const struct guard guard_user = { .name = "the guard in user space",
				  .begin = begin,
				  .put = table_put,
				  .age = age,
				  .run = run,
				  .counters = counters,
				  .counter = counter,
				  .user = true };
