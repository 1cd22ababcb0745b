/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The model's own: what it keeps between packets, and its parts. */
#include "tests/model/seen.h"

#define NO_ONE 0xffffffffu

/* What a first fragment said. */
struct piece {
	uint32_t owner; /* whose device; 0 = an uplink */
	union pk_addr src, dst;
	uint32_t id, end;
	uint8_t proto;
	bool v4, gone, ports, request, reply;
	uint16_t sport, dport;
	bool unsure; /* another datagram came to that area since */
	int64_t seen_at;
};

/* What is left, and when it was reckoned, in units of 1,024 ns. */
struct bucket {
	uint64_t tokens, at;
};

struct model {
	const struct world *w;
	struct world own; /* what w is: its words change */
	struct model_flow flow[SEQUENCE * 2];
	uint32_t flows;
	uint32_t place[SLOTS][BUDGET_ROOM]; /* number of a flow + 1; 0 = free */
	uint32_t cursor[SLOTS];		    /* behind the place that was taken last */
	uint32_t closed[SLOTS];		    /* the place whose connection closed last */
	uint32_t top[SLOTS];		    /* places from here on hold no flow that counts */
	struct bucket bucket[SLOTS][PK_BUCKET_EVENTS];
	int64_t now;
	uint32_t passes;
	struct piece piece[PIECES];
	uint32_t pieces;
	struct model *before; /* what it was before a packet that may have gone either way */
};

/* One packet on its way through the model. */
struct walk {
	struct model *m;
	const struct step *step;
	const struct frame *frame;
	struct seen seen;
	uint32_t slot;		   /* the hook's endpoint; 0 = none yet */
	bool out;		   /* it leaves that endpoint */
	uint32_t peer;		   /* slot of the other side; 0 = not local */
	uint8_t party;		   /* enum pk_party: the other side */
	uint32_t identity, tenant; /* the other side's, where it isn't local */
	bool routed;		   /* a way out of the node was found, by `device` */
	uint32_t flow;		   /* number, or NO_ONE */
	int role;		   /* 0: the flow's initiator sent it */
	bool made;		   /* the flow is this packet's making */
	uint8_t translation;
	union pk_addr to;
	uint16_t to_port;
	struct outcome *o;
};

/* model_policy.c */
struct end {
	uint32_t slot, identity, tenant;
	uint8_t party; /* what it is to the other end */
	union pk_addr addr;
};
enum pk_reason policy_of(const struct world *w, const struct end *of, const struct end *about,
			 int dir, uint8_t proto, uint16_t port);

/* model_rate.c */
void rate_begin(struct model *m);
bool rate_traffic(struct model *m, uint32_t slot, enum pk_dir dir, uint32_t bytes,
		  uint32_t packets);
bool rate_new_flow(struct model *m, uint32_t slot, bool outside);
uint32_t rate_packets(const struct walk *k);

/* model_place.c: time, and the budgets of live flows. */
#define SECONDS(n) ((int64_t)(n) * 8)
int64_t flow_lifetime(const struct model *m, const struct model_flow *f);
bool flow_expired(const struct model *m, const struct model_flow *f);
bool flow_over(const struct model *m, const struct model_flow *f); /* its place may be another's */
bool is_unopened(const struct model_flow *f);
bool place_take(struct model *m, uint32_t owner, bool outside, uint32_t *place);

/* model_flow.c */
uint32_t flow_of_packet(struct model *m, const struct seen *s, int *role);
uint32_t flow_crossed(struct model *m, const struct seen *s);
enum pk_reason flow_begin(struct walk *k, const struct end end[2]);
void flow_touch(struct model *m, uint32_t nr, const struct seen *s, int role);
void flow_end(struct model *m, uint32_t nr);
bool flow_begins_anew(const struct model_flow *f, const struct seen *s);
bool is_opening(const struct seen *s);
bool is_syn(const struct seen *s);
bool may_begin(const struct seen *s);
/* The flow that a quoted packet is of; *role: of its sender. Its tuple as it was quoted. */
struct quote {
	union pk_addr src, dst;
	uint16_t sport, dport;
	uint8_t proto, type;
	uint32_t at, l4; /* where the quoted IP and protocol headers begin */
};
uint32_t flow_of_quote(const struct model *m, const struct quote *q, int *role);

/* model_peer.c: who is at an address; the routes of the tests' node. */
enum route { ROUTE_WAY, ROUTE_LOCAL, ROUTE_NONE };
enum route route_to(const struct world *w, const union pk_addr *to, uint32_t *device);
enum pk_reason peer_of_destination(struct walk *k);
enum pk_reason peer_of_source(struct walk *k);
bool in_pools(const struct world *w, const union pk_addr *a);
void peer_outside(struct walk *k, const union pk_addr *a);
const struct pk_published *published_of(const struct world *w, const struct seen *s,
					const union pk_addr *to, uint16_t port);
uint32_t slot_of_address(const struct world *w, const union pk_addr *a);
bool is_own_address(const struct world *w, const union pk_addr *a);

/* model_answer.c */
bool is_question(const struct walk *k);
bool is_nd(const struct seen *s);
bool is_link_local(const union pk_addr *a);
bool is_gateway6(const union pk_addr *a);
bool is_dhcp4(const struct seen *s);
bool is_dhcp6(const struct seen *s);
enum pk_reason answer(struct walk *k);
void ping_back(struct walk *k);
enum pk_reason spoofs(const struct walk *k);
void answer_back(struct walk *k); /* the frame becomes one from the gateway to its sender */
enum pk_reason answer_fits(const struct walk *k, uint32_t l4);
void answer_seal(struct walk *k, const struct seen *s); /* s: the answer */

/* model_nd.c, model_dhcp4.c, model_dhcp6.c: what is answered to a question. */
enum pk_reason answer_nd(struct walk *k);
enum pk_reason answer_dhcp4(struct walk *k);
enum pk_reason answer_dhcp6(struct walk *k);

/* model_tell.c: what its sender hears of a packet that can't go on. */
void tell(struct walk *k, uint32_t mtu);

/* model_bytes.c */
void frame_macs(struct frame *f, const uint8_t to[6]);
void frame_hop(struct outcome *o, const struct seen *s);
void frame_rename(struct outcome *o, const struct seen *s);
void frame_translate(struct walk *k);
void frame_change_address(struct frame *f, const struct seen *s, bool source,
			  const union pk_addr *to);
void frame_change_port(struct frame *f, const struct seen *s, bool source, uint16_t to);
void frame_change_bytes(struct frame *f, uint32_t check, uint32_t at, const uint8_t *to,
			uint32_t len);
void frame_seal(struct frame *f, const struct seen *s); /* every checksum right */

/* model_beside.c */
enum pk_reason beside_read(const struct walk *k);
enum pk_reason beside_length(const struct walk *k, uint32_t mtu);
bool beside_fits(const struct walk *k, uint32_t mtu);

/* model_deliver.c */
enum pk_reason deliver_endpoint(struct walk *k, uint32_t slot);
enum pk_reason deliver_world(struct walk *k);

/* model_piece.c */
enum pk_reason piece_begin(struct walk *k);
void piece_keep(struct walk *k);

/* model_uplink.c */
enum pk_reason from_uplink(struct walk *k);

/* model_decide.c: what policy says of a flow under new words; the flow of the packet, found or made. */
bool is_remote(const struct walk *k);
bool is_stale(const struct model *m, const struct model_flow *f);
enum pk_reason judge_again(struct walk *k);
enum pk_reason decide(struct walk *k);

/* model.c: the end of a flow that couldn't be delivered. */
enum pk_reason delivered(struct walk *k, enum pk_reason reason);

/* model_error.c */
enum pk_reason error_step(struct walk *k);
