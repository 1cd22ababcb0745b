/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The endpoints as a policy sees them: what an expectations file gives, what GET /v1/world tells,
 * what picketd's model feeds. Services are labels (consul:service).
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "addr.h"
#include "ast.h"
#include "label.h"

/* A Nomad port label: name -> port, of one protocol or of any (PK_PROTO_ANY: TCP, UDP and SCTP). */
struct pk_port_label {
	char *name;
	uint8_t proto;
	uint16_t port;
};

/* A port of the endpoint's own that a check or a mapping opens; proto may be PK_PROTO_ANY. */
struct pk_own_port {
	uint8_t proto;
	uint16_t port;
};

/* An answer that this endpoint got: name (lower case, no trailing dot) and addresses. */
struct pk_name {
	char *name;
	union pk_addr *addresses;
	size_t n_addresses;
};

struct pk_world_endpoint {
	char *key; /* container id "@" interface, or an expectations file's name */
	struct pk_label_set *labels; /* finished; "port:*" unknown: its ports aren't known yet */
	struct pk_port_label *ports;
	size_t n_ports;
	struct pk_own_port *checks, *published;
	size_t n_checks, n_published;
	union pk_addr *addresses;
	size_t n_addresses;
	struct pk_name *names;
	size_t n_names;
	bool local;			 /* has a rule set on this node */
	bool masqueraded4, masqueraded6; /* leaves for the world with the node's address */
};

struct pk_world_endpoint *pk_world_endpoint_new(const char *key);
void pk_world_endpoint_free(struct pk_world_endpoint *ep);
void pk_world_endpoint_add_port(struct pk_world_endpoint *ep, const char *name, uint8_t proto,
				uint16_t port);
void pk_world_endpoint_add_check(struct pk_world_endpoint *ep, uint8_t proto, uint16_t port);
void pk_world_endpoint_add_published(struct pk_world_endpoint *ep, uint8_t proto, uint16_t port);
void pk_world_endpoint_add_address(struct pk_world_endpoint *ep, const union pk_addr *addr);
/* Adds an address to a name's answers; makes the name if it is new. */
void pk_world_endpoint_add_name(struct pk_world_endpoint *ep, const char *name,
				const union pk_addr *addr);

struct pk_world;

struct pk_world *pk_world_new(void);
void pk_world_free(struct pk_world *world);
/* Takes ownership of ep, which replaces one of the same key. */
void pk_world_put(struct pk_world *world, struct pk_world_endpoint *ep);
int pk_world_remove(struct pk_world *world, const char *key); /* -ENOENT */
const struct pk_world_endpoint *pk_world_get(const struct pk_world *world, const char *key);
/* Walks the endpoints in the order in which they were put: NULL starts, and NULL is the end. */
const struct pk_world_endpoint *pk_world_next(const struct pk_world *world,
					      const struct pk_world_endpoint *ep);
size_t pk_world_count(const struct pk_world *world);

/* Protected addresses (docs/policy.md, "Meaning"). */
extern const struct pk_prefix pk_protected[];
extern const size_t pk_n_protected;
bool pk_is_protected(const union pk_addr *addr);
