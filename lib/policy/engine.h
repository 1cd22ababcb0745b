/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Inside the compiler: what compile.c (who is there, what is published), documents.c, link.c (which
 * program is whose), subject.c (what selects it), program.c (one rule set), class.c (its classes),
 * peers.c (whom it tells apart), match.c (does an entry match a peer), index.c (which identities an
 * entry matches), oversize.c and cidr.c (lists) share.
 */
#include <uthash.h>

#include "compile.h"
#include "picket/query.h"
#include "ports.h"
#include "rules.h"
#include "selector.h"

/* A vector of pointers. */
struct vec {
	void **at;
	size_t n, room;
};
void vec_push(struct vec *v, void *p);
void vec_remove(struct vec *v, const void *p); /* order is not kept */
void vec_done(struct vec *v);

struct hash128 {
	uint64_t h[2];
};

enum ep_kind {		/* what an entry makes of endpoints as peers */
	       EP_NONE, /* matches no endpoint */
	       EP_ALL,	/* matches every endpoint alike, unknown ones too */
	       EP_SOME,
};

/* One entry of one rule, flattened. */
struct ent {
	const struct pk_document *doc;
	const struct pk_rule *rule;
	const struct pk_entry *e;
	uint64_t serial; /* never used again in an engine's life */
	uint64_t order;	 /* order within the document */
	uint8_t dir, tier, kind;
	uint8_t ep;	       /* enum ep_kind */
	bool label_ports;      /* some port by label */
	bool by_prefix;	       /* it names prefixes of the world (declared_services.c) */
	bool varies;	       /* EP_SOME: other tenants may differ by their namespace */
	struct pk_span *spans; /* of the ports that are numbers */
	size_t n_spans;
	struct vec matched; /* identities that match, of generation `fresh` */
	uint64_t fresh;
};

struct rule_obj {
	const struct pk_document *doc;
	const struct pk_rule *rule;
	struct ent *ents[2];
	size_t n[2];
};

struct doc_obj {
	const struct pk_document *doc;
	struct rule_obj *rules;
	size_t n_rules;
	struct ent *ents;
	bool keep;
	UT_hash_handle hh;
};

struct ident;

struct tenant {
	unsigned int refs; /* identities, known to the index or not yet, and bases */
	char *name;
	struct hash128 hash;
	struct pk_label_set *labels; /* "of this tenant, nothing else known" */
	struct vec idents;
	bool known; /* the programs have been told */
	/* These count what the linked programs that its own documents shape have together. */
	size_t verdicts, peers, cidrs;
	/* The last program that asked what this tenant's endpoints fall back to, and the answer. */
	uint64_t asked[2];
	struct hash128 content[2];
	bool hit[2];
	UT_hash_handle hh;
};

struct ident {
	struct hash128 hash;
	struct pk_label_set *labels; /* named ports among them as "port:name" */
	struct pk_port_label *ports; /* the named ones */
	size_t n_ports;
	struct tenant *tenant; /* NULL: quarantine, or the namespace is unknown */
	unsigned int refs, local_refs;
	bool known, queued;
	bool is_base;		 /* stands for endpoints to come, of `bases` */
	uint64_t mark;		 /* of index_matched's last walk that met it */
	struct program *program; /* of local endpoints */
	uint64_t linked;	 /* engine->subjects when program was found */
	size_t wants_verdicts;	 /* of the image that its tenant had no room for; 0: none */
	struct pk_image *published;
	struct hash128 operators; /* the operators' part of what is published */
	UT_hash_handle hh;
};

struct base {
	char *name;	   /* "" = of any tenant */
	struct ident self; /* labels alone; in no index */
	UT_hash_handle hh;
};

/* A peer as an entry sees it; prefixes of the world are cidr.c's. */
struct peer {
	enum pk_party party;
	bool v6;			   /* WORLD */
	const struct pk_label_set *labels; /* ENDPOINT, UNKNOWN */
	const char *not_in;		   /* its namespace is unknown, but is not this one */
	const struct pk_port_label *ports;
	size_t n_ports;
	bool out_of_reach; /* WORLD: protected, and not in tenantReach */
};

/* match.c */
void ent_init(struct ent *ent);
/*
 * Three-valued match of the peer part (never of the CIDR and FQDN kinds), as it counts for the
 * entry's kind.
 */
bool ent_matches(const struct ent *ent, const struct peer *peer, const struct pk_settings *s);
/* -1, 0, 1: which one wins and is shown first: higher rank, then document name, source, order. */
int ent_cmp(const struct ent *a, const struct ent *b);
bool ent_selects(const struct ent *ent, const struct pk_label_set *subject);
enum pk_tri rule_selects(const struct pk_document *doc, const struct pk_rule *rule,
			 const struct pk_label_set *subject);
/* Appends the spans of the entry's port labels at an endpoint of these ports. */
struct spans {
	struct pk_span *at;
	size_t n, room;
};
void spans_push(struct spans *s, struct pk_span span);
void ent_resolve(const struct ent *ent, const struct peer *to, struct spans *out);

/*
 * declared_services.c: the prefixes that an entry's services have as the operator declared them:
 * those of the instances, in a deny all within which they may lie. fn NULL: they are counted alone.
 */
size_t declared_each(const struct pk_settings *s, const struct ent *ent,
		     void (*fn)(void *arg, const struct pk_prefix *prefix), void *arg);
/* Returns a declared service that the entry means; NULL: none. */
const struct pk_declared_service *declared_find(const struct pk_settings *s, const struct ent *ent);
/* Returns whether the document may open it: an operator's, or of a namespace that is listed. */
bool declared_may(const struct pk_declared_service *d, const struct pk_document *doc);

/*
 * cidr.c: how a set of CIDR entries divides the world, shared by all programs that have the same
 * ones.
 */
struct cidr_class {
	uint32_t *acts; /* indexes into the key's ents */
	size_t n_acts;
	bool v6, is_protected, in_reach, resolver;
};
/* A shape divides the world by the CIDR entries of one list, in the order of enum pk_list. */
enum shape_kind { SHAPE_OWN, SHAPE_ALL, SHAPE_SOME, SHAPES };
struct shape {
	struct hash128 key;
	struct pk_cidr_list *list;  /* NULL: nothing but the two world classes */
	struct cidr_class *classes; /* class number `first` + index */
	uint32_t first;		    /* PK_CLASS_FIRST, _ALL, _SOME */
	size_t n_classes;
	bool too_large; /* the division was given up */
	bool own;	/* a tenant's own documents are in it */
	bool used;
	uint64_t counted; /* engine->round */
	UT_hash_handle hh;
};
/*
 * ents: those by prefix of a program's direction that belong to this kind of shape, in
 * its order. The shape stays the engine's; NULL: not the own one, and there are none.
 */
struct shape *shape_get(struct pk_engine *engine, enum pk_dir dir, enum shape_kind kind,
			struct ent *const *ents, size_t n);
void shapes_free(struct pk_engine *engine, bool unused_only);

/* index.c */
struct posting {
	char *text; /* "key=value" */
	struct vec idents;
	UT_hash_handle hh;
};
void index_add(struct pk_engine *engine, struct ident *ident);
void index_remove(struct pk_engine *engine, struct ident *ident);
/* Returns how many identities index_matched would ask about ent, at most. */
size_t index_most(const struct pk_engine *engine, const struct ent *ent);
/* Identities that ent matches as peers, each once; valid until identities change. */
const struct vec *index_matched(struct pk_engine *engine, struct ent *ent);
void index_free(struct pk_engine *engine);

struct class_of { /* signature or content -> class */
	struct hash128 key;
	uint32_t class_nr;
	struct hash128 content;
	UT_hash_handle hh;
};
struct side {		   /* one direction of a program */
	struct ent **acts; /* in ent_cmp's order */
	size_t n_acts;
	struct pk_defaults defaults;
	const struct pk_document *askers[8]; /* whose rules those defaults name: 2 x tier + audit */
	struct spans *own; /* ingress: spans of each act's port labels at the subject; or NULL */
	bool selective, varies; /* some act is EP_SOME; some varies over tenants */
	struct class_of *signatures, *contents;
	struct hash128 same, other, unknown; /* contents of the fallback classes */
	bool same_hit, other_hit;    /* their signatures hold acts that other endpoints may lack */
	struct shape *shape[SHAPES]; /* NULL where nothing is; never SHAPE_OWN */
	size_t prefixes[SHAPES];     /* that the acts of each list name */
	bool shaped;
	uint32_t first_class, next_class; /* of endpoints and tenants */
};
enum build_step { BUILD_WORLD, BUILD_NAMES, BUILD_TENANTS, BUILD_PEERS, BUILD_DONE };

struct program {
	struct hash128 key;
	struct hash128 origin; /* the same in every process; zero unless selective */
	uint64_t id;
	char *tenant_name; /* of the subjects; NULL unless the peers depend on it */
	bool init;
	struct side side[2];
	struct pk_verdict_entry *verdicts;
	size_t n_verdicts, room_verdicts, max_verdicts;
	bool too_large; /* the rest was left out: it is never published */
	struct pk_peer_entry *peers;
	size_t n_peers, room_peers;
	struct pk_name_class *names;
	size_t n_names;
	struct pk_image *image; /* of the state above, or NULL when that has moved on */
	/* It is built up to here; a direction knows of new peers by itself from BUILD_PEERS on. */
	enum build_step step;
	int dir;
	size_t at;	   /* within the step: the next class */
	struct vec todo;   /* identities that are still to be looked at */
	bool todo_made;	   /* for this direction */
	bool has_peers[2]; /* the direction has been through BUILD_PEERS, or is in it */
	bool has_tenants;
	struct hash128 operators,
		own; /* what the operators' and its tenant's documents make of it */
	bool has_own;
	bool stands_in; /* for one too large: its tenant's documents are left out, and deny */
	bool blamed;	/* too large: it is known whether its tenant's documents alone are */
	struct program *alone; /* those documents alone, until that is known */
	uint64_t counted;      /* engine->round */
	bool used;
	UT_hash_handle hh;
};
/* A tenant's documents whose result alone is too large: it isn't built again. */
struct oversized {
	struct hash128 own;
	bool used;
	UT_hash_handle hh;
};
/* class.c */
/* The things that make one class. */
struct recipe {
	const uint32_t *acts; /* indexes that match, ascending */
	size_t n_acts;
	const struct peer *to; /* whose ports labels mean on egress; NULL: nobody's */
	enum pk_party party;
	bool same;		     /* of the subject's namespace */
	bool is_protected, resolver; /* WORLD */
	bool beside; /* asked beside the peer's own class: neither default nor baseline */
};
const struct class_of *class_find(const struct class_of *map, const struct hash128 *key);
void class_remember(struct class_of **map, const struct hash128 *key, uint32_t class_nr,
		    const struct hash128 *content);
void classes_forget(struct class_of **map);
/* Makes a class of a given number; returns what its table holds, as a hash. */
struct hash128 class_fixed(const struct pk_engine *engine, struct program *p, enum pk_dir dir,
			   const struct recipe *r, uint32_t class_nr);
/* Finds the class of an endpoint or tenant by its signature, or works it out (no number yet). */
const struct class_of *class_of_recipe(struct pk_engine *engine, struct program *p, enum pk_dir dir,
				       const struct recipe *r);
/* Returns the number of a class of equal content, else a new one, whose verdicts are written. */
uint32_t class_number(struct pk_engine *engine, struct program *p, enum pk_dir dir,
		      const struct recipe *r);

/* peers.c */
/* Fills in the indexes of the acts that match a peer; acts has room for all. */
size_t acts_match(const struct pk_engine *engine, const struct side *side, const struct peer *peer,
		  uint32_t *acts);
bool acts_any_selective(const struct side *side, const uint32_t *acts, size_t n);
void peers_assign_tenants(struct pk_engine *engine, struct program *p);
bool peers_assign_endpoints(struct pk_engine *engine, struct program *p, enum pk_dir dir,
			    const struct pk_slice *slice);
void program_add_tenant(struct pk_engine *engine, struct program *p, struct tenant *tenant);
void program_add_ident(struct pk_engine *engine, struct program *p, struct ident *ident);
void program_drop_peer(struct program *p, bool tenant, const struct hash128 *hash);

/* subject.c */
/* Finds the program of a subject, or begins it. */
struct program *program_get(struct pk_engine *engine, struct ident *subject);
/* Finds or begins the one without its tenant's own documents, as if those denied everything. */
struct program *program_get_closed(struct pk_engine *engine, struct ident *subject);
/* Returns how many verdict entries a rule set may have, with a tenant's documents or without. */
size_t max_verdicts(const struct pk_engine *engine, bool has_own);

/* program.c */
/* Begins a program with what needs the subject's tenant, before anything is built. */
void program_begin(struct pk_engine *engine, struct program *p, const struct pk_label_set *own);
/* Builds the program up to a step; true: it is there. */
bool program_build(struct pk_engine *engine, struct program *p, enum build_step until,
		   const struct pk_slice *slice);
void program_image(struct program *p);
void program_free(struct program *p);

/* oversize.c */
/* Finds out whether a tenant's documents alone make the program too large. True: it is known. */
bool program_blame(struct pk_engine *engine, struct program *p, const struct pk_slice *slice);
struct oversized *oversized_find(const struct pk_engine *engine, const struct hash128 *own);
void oversized_free(struct pk_engine *engine, bool unused_only);

struct subject_index { /* rules that may select endpoints of one namespace */
	char *name;
	struct vec rules;
	UT_hash_handle hh;
};

struct endpoint {
	const struct pk_world_endpoint *ep;
	char *key;
	struct ident *ident;
	UT_hash_handle hh;
};

struct pk_engine {
	struct pk_settings settings;
	struct pk_engine_limits limits;
	struct pk_world *world;
	struct endpoint *endpoints;
	struct doc_obj *docs;
	struct vec added; /* documents that came since the last compile */
	struct pk_rules *rules;
	uint64_t serial, idents_changed, walks, changes;
	size_t by_entry_max; /* matches that are looked at in one go (peers.c) */
	uint64_t subjects;   /* rises when a subject's program may be another one */
	uint64_t round;	     /* of counting what tenants have */
	struct subject_index *by_namespace;
	struct vec anywhere; /* rules without a namespace */
	char **port_names;   /* port labels that some policy names, sorted */
	size_t n_port_names;
	struct ident *idents;
	struct tenant *tenants;
	struct posting *postings;
	struct vec uncertain; /* identities with something unknown */
	struct vec queue;     /* identities that came or went since the last compile */
	struct vec locals;    /* those that have a program, of one call of link_subjects */
	struct vec fresh;     /* of them, those that the programs haven't been told of */
	struct program *programs;
	struct shape *shapes;
	struct oversized *oversized;
	struct base *bases;
	struct pk_label_set *unknown_labels, *init_labels, *any_tenant;
	bool resubject; /* every subject's program may be another one */
};

/* ident.c */
struct tenant *tenant_take(struct pk_engine *engine, const char *name); /* made if need be */
void tenant_drop(struct pk_engine *engine,
		 struct tenant *tenant); /* one reference less; NULL is fine */
/* These take or drop one reference to the endpoint's identity; the next compile takes note. */
struct ident *ident_take(struct pk_engine *engine, const struct pk_world_endpoint *ep);
void ident_drop(struct pk_engine *engine, struct ident *ident, bool local);
void ident_clear(struct ident *ident);

static inline bool is_late(const struct pk_slice *slice)
{
	return slice && slice->late(slice->arg);
}

/*
 * Returns whether the program may be published: it isn't too large, by itself or for what its
 * tenant has left.
 */
static inline bool is_fitting(const struct ident *subject)
{
	const struct program *p = subject->program;

	return !p->too_large && (!subject->wants_verdicts || p->stands_in);
}

/* link.c */
/* Gives every subject its program. True: all have it. */
bool link_subjects(struct pk_engine *engine, const struct pk_slice *slice);
/* Takes in the identities that came and went. True: every program has been told. */
bool link_peers(struct pk_engine *engine, const struct pk_slice *slice);
void programs_drop(struct pk_engine *engine, bool unused_only);

/*
 * documents.c calls these of link.c: programs let go of entries of documents with keep unset, and
 * identities are taken again by the port names.
 */
void programs_forget(struct pk_engine *engine);
void idents_retake(struct pk_engine *engine);
/* Makes a subject by labels alone, under a name that is no namespace's. */
struct base *base_of_labels(struct pk_engine *engine, const char *name,
			    const struct pk_label_set *labels);
/* documents.c */
/* Takes anew what the entries' services are declared as. */
void documents_declare(struct pk_engine *engine);
struct doc_obj *documents_find(const struct pk_engine *engine, const struct pk_document *doc);
void documents_free(struct pk_engine *engine);
