/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Bytes that are written one after the other, and what every answer says in its own spelling. */
#include "tests/model/state.h"

struct paper {
	uint8_t *b;
	uint32_t len;
};
void paper_put(struct paper *p, const void *bytes, uint32_t n);
void paper_number(struct paper *p, uint64_t value, uint32_t bytes); /* in network order */
void paper_pad(struct paper *p, uint32_t len);			    /* with zeros, as long */

void told_servers4(struct paper *p, const struct told *t);
void told_domains4(struct paper *p, const struct told *t);
void told_dhcp6(struct paper *p, const struct told *t);
void told_ra(struct paper *p, const struct told *t);
