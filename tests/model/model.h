/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The differential test: one world's tables and a sequence of packets, given to a plain reference
 * model and to two builds of the guard. Each party says what becomes of each packet.
 *
 * The model (model_*.c) is written from docs/datapath.md, docs/state.md and docs/policy.md. It
 * shares the tables' layout and the reasons' numbers with the programs, and no code.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "picket/maps.h"
#include "picket/query.h"
#include "picket/reason.h"

#define FRAME_ROOM  2048
#define SLOTS	    5 /* 0 and four endpoints */
#define SEQUENCE    500
#define BUDGET_ROOM 128 /* of live flows an endpoint: no search for a place has to wait */
#define UPLINK	    101 /* up0's ifindex */

struct frame {
	uint32_t len;
	uint8_t b[FRAME_ROOM];
};

enum hook {
	AT_ENDPOINT, /* leaves an endpoint */
	AT_STACK,    /* the node's stack sends it to an endpoint */
	AT_UPLINK,   /* comes in from outside */
	/* No packets: */
	NEW_WORD,   /* the endpoint gets another word */
	NEW_BUDGET, /* another budget of live flows */
	TIME,	    /* so many eighths of a second pass */
};

/* What the tap's writer may say beside the bytes; only the user-space guard can be told most. */
struct beside {
	bool vlan, partial, honest; /* honest: as a writer of a segmented packet says it */
	uint16_t gso;		    /* a segment's size */
	uint16_t sum_start, sum_offset;
	uint32_t gso_type;
};

struct step {
	uint8_t hook, slot;
	bool forwarded; /* AT_STACK: it came in by another device */
	bool user_only; /* a test run can't express it; no such packet changes a table */
	bool mutated;
	uint64_t value; /* of what is no packet */
	struct beside beside;
	struct frame frame, honest; /* honest: before the mutation */
};

enum where {
	GOES_NOWHERE,
	GOES_BACK, /* an answer, or an error about it, to its sender */
	GOES_TO_ENDPOINT,
	GOES_TO_STACK,
	GOES_TO_WORLD,
	GOES_ON, /* as it came, uncounted */
};

#define PIECES 256 /* first fragments that are remembered in a world */

struct outcome {
	enum pk_reason reason;
	enum where where;
	uint32_t to;	      /* GOES_TO_ENDPOINT: its slot */
	uint32_t slot, dir;   /* the counter that rises; none where it goes on */
	uint32_t also;	      /* slot whose ingress counts it, too; 0 = none */
	enum pk_reason maybe; /* as good as reason: a place that no one can foretell is another's */
	uint32_t sums[4];     /* checksums that may be 0 or 0xffff; 0 = none */
	bool new_id;	      /* IPv4: its id is another, */
	uint32_t ids;	      /* and so many are its own: one for each segment */
	uint32_t first, later; /* number of the piece's datagram; 0 = it is none */
	struct frame out;
};

/* A table's row as it stands in the kernel's. */
struct row_pool {
	struct pk_pool_key key;
};
struct row_remote {
	union pk_addr key;
	struct pk_remote value;
};
struct row_published {
	struct pk_published_key key;
	struct pk_published value;
};
struct row_open {
	struct pk_open_port_key key;
	uint32_t value;
};
struct row_cidr {
	struct pk_cidr_key key;
	uint32_t value;
};
struct row_peer {
	struct pk_peer_class_key key;
	uint32_t value;
};
struct row_verdict {
	struct pk_verdict_key key;
	struct pk_verdict_value value;
};

enum limits {
	LIMITS_NONE,
	LIMITS_SLOW, /* one a second: what a busy machine's clock gives meanwhile is no whole one */
	LIMITS_FAST, /* any: the clock of the guard in user space alone stands still */
};

/* What an endpoint is told by DHCP and router advertisements. */
struct told {
	uint32_t servers;
	union pk_addr server[8];
	char search[480]; /* domains between blanks */
	char host[PK_TOLD_HOST + 1];
};

#define SETS 8
struct world {
	uint64_t seed;
	enum limits limits;
	uint32_t passes; /* times that time may pass, at most */
	struct pk_node node;
	struct pk_endpoint ep[SLOTS];
	struct told told[SLOTS];
	uint64_t word[SLOTS];
	struct pk_rule_set set[SETS];
	struct row_pool pool[4];
	struct row_remote remote[4];
	struct row_published published[8];
	struct row_open open[12];
	struct row_cidr cidr[24];
	struct row_peer peer[24];
	struct row_verdict verdict[160];
	int pools, remotes, publisheds, opens, cidrs, peers, verdicts;
	uint32_t tokens[SLOTS][PK_BUCKET_EVENTS]; /* left in a bucket at the begin; 0 = full */
};

static inline bool is_packet(enum hook hook)
{
	return hook < NEW_WORD;
}

/* Time is eighths of a second; buckets count it in units of 1,024 ns. */
#define EIGHTH_NS 125000000ull
#define BEGIN	  8 /* the model's clock at a world's begin */

/* world.c */
void world_make(struct world *w, uint64_t seed);
typedef void (*world_put)(const char *table, const void *key, const void *value);
void world_fill(const struct world *w, uint64_t ns, world_put put);

/* random.c: a number's own stream of numbers. */
struct dice {
	uint64_t state;
};
uint32_t dice_next(struct dice *d);
uint32_t dice_below(struct dice *d, uint32_t n);
bool dice_one_in(struct dice *d, uint32_t n);

/* The model. */
struct model;
struct model *model_new(const struct world *w);
void model_free(struct model *m);
void model_change(struct model *m, const struct step *s); /* of what is no packet */
const struct pk_endpoint *model_endpoint(const struct model *m, uint32_t slot);
uint64_t model_word_of(const struct model *m, uint32_t slot);
void model_undo(struct model *m); /* the packet with outcome.maybe was dropped */
void model_step(struct model *m, const struct step *s, struct outcome *out);
bool model_is_idle(const struct model *m, const struct step *s); /* the packet changes no table */
bool model_may_wait(const struct model *m);			 /* time may pass once more */
bool model_is_slow(const struct model *m);

/* What the generator may know of the flows that are. */
struct model_flow {
	bool live;
	union pk_addr src, dst; /* as the initiator sends */
	uint16_t sport, dport;	/* host order; an echo's id in both */
	uint8_t proto;
	union pk_addr seen_src, seen_dst; /* as the responder gets it */
	uint16_t seen_sport, seen_dport;
	uint8_t translation; /* PK_FLOW_SOURCE, _DESTINATION, _HAIRPIN */
	uint32_t slot[2], opened[2];
	bool stack;  /* the other side is the node's own stack */
	bool remote; /* the other side is of another node */
	uint8_t state, fins;
	bool answered; /* the responder has sent something */
	bool heard;    /* TCP with somebody outside: the endpoint has acknowledged something */
	uint32_t expects, edge; /* what it waits for next, and where its window ends */
	uint8_t shift;		/* of its windows */
	bool unshifted;		/* the other end shifts none, so neither does the endpoint */
	bool spoke;		/* it has acknowledged something behind its SYN */
	bool asked;		/* from outside; the endpoint's SYN was seen, */
	uint32_t awaits;	/* which this number acknowledges */
	bool open;		/* it was, whatever a RST made of it */
	enum pk_reason reason;
	uint32_t reason_slot, reason_dir;
	uint64_t word[2];
	uint32_t owner, place;
	int64_t begun, judged, revoked, expires;
};
const struct model_flow *model_flow(const struct model *m, uint32_t nr); /* NULL: no more */
uint32_t model_flows(const struct model *m);

/* generate.c */
void generate_step(const struct model *m, struct dice *d, struct step *s);

/* A build of the guard. */
#define ROWS (SLOTS * 2 * PK_REASON_SLOTS) /* of `counters` */
struct result {
	int verdict;	 /* the program's return */
	uint32_t target; /* ifindex; only the user-space guard knows it */
	struct frame out;
};
struct guard {
	const char *name;
	void (*begin)(const struct world *w);
	void (*put)(const char *table, const void *key, const void *value);
	void (*age)(uint64_t eighths); /* all that there is */
	void (*run)(const struct step *s, struct result *r);
	void (*counters)(uint64_t rows[ROWS]);
	uint64_t (*counter)(uint32_t row);
	bool user;
};
extern const struct guard guard_loaded, guard_user;
int loaded_start(void);
void loaded_stop(void);

/* IPv4's identifications are counted on, for each destination and protocol. */
#define ID_WAYS 64
struct id_way {
	uint32_t dst;
	uint8_t proto;
	uint16_t last, own; /* the newest one, and how many are its datagram's */
	uint32_t taken;	    /* of `taken` below, when it was given */
};
struct ids {
	uint16_t of_piece[PIECES + 1];
	struct id_way way[ID_WAYS];
	uint32_t ways, taken; /* by all of them */
};

/* judge.c: what a guard did and what it counted, against the model. `why` says what differs. */
#define WHY 512
struct deed {
	const struct guard *guard;
	const struct result *result;
	const uint64_t *before, *after; /* ROWS */
	struct ids *ids;		/* with which datagrams went on under another source */
};
const char *reason_name(uint32_t reason);
/* The packet went the other way that outcome.maybe allows. */
bool judge_is_other(const struct step *s, const struct outcome *o, const struct deed *d);
bool judge_deed(const struct step *s, const struct outcome *o, const struct deed *d, char why[WHY]);

/* run.c: one world, begun once and then asked packet by packet. */
struct run;
/* exact: every counter is read after each packet; else those that it is about, at the end all. */
struct run *run_begin(const struct world *w, const struct guard *const *guards, bool exact);
bool run_step(struct run *r, const struct step *s, struct outcome *o, char why[WHY]);
const struct model *run_model(const struct run *r);
bool run_end(struct run *r); /* false: a counter isn't what it must be */

/* shrink.c: the shortest sequence that still fails, said. */
void shrink(const struct world *w, const struct guard *const *guards, struct step *steps,
	    uint32_t n);
bool shrink_fails(const struct world *w, const struct guard *const *guards,
		  const struct step *steps, uint32_t n, char why[WHY]);
