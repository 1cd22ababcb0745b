/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/* Cilium's names of ICMP types, and protocols by name. */
#include <stdbool.h>
#include <stdint.h>

/*
 * "EchoRequest" or a number 0..255; -EINVAL. loose: case and hyphens don't matter ("echo-request"),
 * as in expectations and on command lines.
 */
int pk_icmp_type(const char *text, bool v6, bool loose, uint8_t *out);
/* NULL where the number has no name. */
const char *pk_icmp_type_name(bool v6, uint8_t type);
/* Every known name of a family, ends with NULL. */
const char *const *pk_icmp_type_names(bool v6);

/* "TCP", "icmpv6", "any", "47": any case; -EINVAL. ANY is PK_PROTO_ANY. */
int pk_protocol_parse(const char *text, uint8_t *out);
const char *pk_protocol_name(uint8_t proto); /* "TCP"; NULL where it has none */
/* Has ports: TCP, UDP, SCTP, and PK_PROTO_ANY. */
bool pk_protocol_has_ports(uint8_t proto);
