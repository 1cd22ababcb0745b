/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "tests/model/seen.h"

#define TH_FIN 1
#define TH_SYN 2
#define TH_RST 4
#define TH_ACK 16

void mutate(struct step *s, struct dice *d); /* mutate.c: one thing becomes wrong, or another */
/* change.c: true: it is no packet, but another rule set, another budget, or some time that passes. */
bool change(const struct model *m, struct dice *d, struct step *s);

/* generate.c, generate_ask.c, generate_dhcp.c */
uint32_t some_endpoint(struct dice *d);
void asks_gateway(struct step *s, struct dice *d);
void asks_dhcp4(struct step *s, struct dice *d);
void asks_dhcp6(struct step *s, struct dice *d);
