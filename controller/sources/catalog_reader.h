/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Reads, as it arrives, what a catalogue says of one service: Consul's /v1/health/service/NAME or
 * Nomad's /v1/service/NAME. A malformed instance counts as one without an address; an answer that
 * is no list of instances is an error. Pure.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"

#define PK_INSTANCES_MAX 1024 /* instances of one answer */
#define PK_INSTANCE_TEXT 128

enum pk_health { PK_HEALTH_UNKNOWN, PK_HEALTH_PASSING, PK_HEALTH_WARNING, PK_HEALTH_CRITICAL };
const char *pk_health_name(enum pk_health health);

struct pk_instance {
	char id[PK_INSTANCE_TEXT], address[PK_INSTANCE_TEXT]; /* "": none, or too long */
	uint16_t port;					      /* 0: none */
	enum pk_health health; /* the worst of its checks; Nomad's catalogue has none */
};

struct pk_instances {
	struct pk_instance *list;
	size_t n;
};
void pk_instances_done(struct pk_instances *instances);

struct pk_catalog_reader;

struct pk_catalog_reader *pk_catalog_reader_new(bool nomad);
void pk_catalog_reader_free(struct pk_catalog_reader *reader);
int pk_catalog_reader_feed(struct pk_catalog_reader *reader, const char *bytes, size_t n,
			   struct pk_err *err);
/* Hands out what was read, which the caller then owns; -EINVAL: the answer was cut off. */
int pk_catalog_reader_end(struct pk_catalog_reader *reader, struct pk_instances *out,
			  struct pk_err *err);
