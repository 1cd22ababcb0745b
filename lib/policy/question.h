/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The question to every engine: may this endpoint and this peer talk, in this direction? */
#include <stdint.h>

#include "picket/query.h"
#include "world.h"

struct pk_peer {
	enum pk_party party; /* never NONE or SELF */
	/* ENDPOINT alone. The subject itself may stand here, which is SELF to the guard. */
	const struct pk_world_endpoint *endpoint;
	union pk_addr address; /* UNKNOWN, WORLD */
};

/*
 * Returns whether this node judges the peer's side: other nodes judge that of their endpoints by
 * their own documents.
 */
static inline bool pk_peer_is_local(const struct pk_peer *peer)
{
	return peer->party == PK_PARTY_ENDPOINT && peer->endpoint->local;
}

struct pk_question {
	const struct pk_world_endpoint *subject;
	enum pk_dir dir; /* seen from the subject */
	struct pk_peer peer;
	uint8_t proto;
	uint16_t port; /* the responder's, host order; ICMP: PK_PORT_ICMP(type, code) */
};
