/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What the guard in user space (guard.c) and its surroundings know of each other. */
#include <stdbool.h>
#include <stdint.h>

/* tables.c */
enum table_kind { TABLE_ARRAY, TABLE_HASH, TABLE_PREFIX };
struct table {
	const void *address; /* of the guard's declaration */
	const char *name;
	enum table_kind kind;
	uint32_t key, value; /* bytes */
	uint32_t room;	     /* elements of an array; where others are full */
	void *elements;
	uint32_t count;
};
void table_is(const struct table *t);
void tables_empty(void);
void table_put(const char *name, const void *key, const void *value);
void *table_all(const char *name); /* an array's elements */
void tables_rest(void);		   /* no packet looks at deleted elements any more */

/* guard.c: one packet through a program of the guard. */
struct user_packet {
	uint8_t *bytes; /* in the first 4 GiB of memory, where a __sk_buff can name them */
	uint32_t len, linear, room;
	uint32_t ifindex, ingress_ifindex, gso_size, gso_type;
	uint16_t sum_start, sum_offset;
	bool vlan, partial;
	uint32_t target; /* out */
};
enum user_program { USER_FROM, USER_TO, USER_UP };
extern uint64_t user_eighths; /* the guard's clock */
void user_tables(void);	      /* says them all to tables.c */
int user_run(enum user_program program, struct user_packet *p);
/* The bytes that a program may touch itself: the linear part. */
void user_linear(struct user_packet *p);

#define USER_SLOTS  5
#define USER_BUDGET 128

/* fib.c: the routes of the tests' node, as tests/bpf/devices.c makes them: BPF_FIB_LKUP_RET_*. */
int user_route(const uint8_t to[16], uint32_t *device);
