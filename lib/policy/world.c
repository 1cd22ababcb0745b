/* SPDX-License-Identifier: Apache-2.0 */
#include "world.h"

#include <errno.h>
#include <string.h>
#include <uthash.h>

struct node {
	struct pk_world_endpoint *ep;
	UT_hash_handle hh;
};

struct pk_world {
	struct node *nodes;
};

#define V4(p, q, r, s, bits)	   { .addr.b = { [10] = 0xff, 0xff, p, q, r, s }, .len = bits }
#define V6(p, q, r, s, t, u, bits) { .addr.b = { p, q, r, s, t, u }, .len = bits, .v6 = true }

const struct pk_prefix pk_protected[] = {
	V4(0, 0, 0, 0, 8),
	V4(10, 0, 0, 0, 8),
	V4(100, 64, 0, 0, 10),
	V4(127, 0, 0, 0, 8),
	V4(169, 254, 0, 0, 16),
	V4(172, 16, 0, 0, 12),
	V4(192, 0, 0, 0, 24),
	V4(192, 168, 0, 0, 16),
	V4(198, 18, 0, 0, 15),
	V4(224, 0, 0, 0, 3),
	V6(0, 0, 0, 0, 0, 0, 8),
	V6(0, 0x64, 0xff, 0x9b, 0, 0, 96),
	V6(0, 0x64, 0xff, 0x9b, 0, 1, 48),
	V6(0x20, 0x02, 0, 0, 0, 0, 16),
	V6(0xfc, 0, 0, 0, 0, 0, 7),
	V6(0xfe, 0x80, 0, 0, 0, 0, 10),
	V6(0xfe, 0xc0, 0, 0, 0, 0, 10),
	V6(0xff, 0, 0, 0, 0, 0, 8),
};
const size_t pk_n_protected = PK_ARRAY_LEN(pk_protected);

bool pk_is_protected(const union pk_addr *addr)
{
	for (size_t i = 0; i < pk_n_protected; i++)
		if (pk_prefix_has(&pk_protected[i], addr))
			return true;
	return false;
}

/* Returns one more element at the end of *array, zeroed. */
static void *append(void *array, size_t *n, size_t size)
{
	char **p = array;
	char *grown = realloc(*p, (*n + 1) * size);

	if (!grown)
		abort();
	memset(grown + *n * size, 0, size);
	*p = grown;
	return grown + (*n)++ * size;
}

struct pk_world_endpoint *pk_world_endpoint_new(const char *key)
{
	struct pk_world_endpoint *ep = pk_alloc(sizeof(*ep));

	ep->key = pk_strdup(key);
	ep->masqueraded4 = true;
	return ep;
}

void pk_world_endpoint_free(struct pk_world_endpoint *ep)
{
	if (!ep)
		return;
	for (size_t i = 0; i < ep->n_ports; i++)
		free(ep->ports[i].name);
	for (size_t i = 0; i < ep->n_names; i++) {
		free(ep->names[i].name);
		free(ep->names[i].addresses);
	}
	free(ep->ports);
	free(ep->names);
	free(ep->checks);
	free(ep->published);
	free(ep->addresses);
	free(ep->key);
	pk_label_set_free(ep->labels);
	free(ep);
}

void pk_world_endpoint_add_port(struct pk_world_endpoint *ep, const char *name, uint8_t proto,
				uint16_t port)
{
	struct pk_port_label *p = append(&ep->ports, &ep->n_ports, sizeof(*p));

	*p = (struct pk_port_label){ .name = pk_strdup(name), .proto = proto, .port = port };
}

void pk_world_endpoint_add_check(struct pk_world_endpoint *ep, uint8_t proto, uint16_t port)
{
	struct pk_own_port *p = append(&ep->checks, &ep->n_checks, sizeof(*p));

	*p = (struct pk_own_port){ .proto = proto, .port = port };
}

void pk_world_endpoint_add_published(struct pk_world_endpoint *ep, uint8_t proto, uint16_t port)
{
	struct pk_own_port *p = append(&ep->published, &ep->n_published, sizeof(*p));

	*p = (struct pk_own_port){ .proto = proto, .port = port };
}

void pk_world_endpoint_add_address(struct pk_world_endpoint *ep, const union pk_addr *addr)
{
	union pk_addr *p = append(&ep->addresses, &ep->n_addresses, sizeof(*p));

	*p = *addr;
}

void pk_world_endpoint_add_name(struct pk_world_endpoint *ep, const char *name,
				const union pk_addr *addr)
{
	struct pk_name *found = NULL;
	union pk_addr *p;

	for (size_t i = 0; i < ep->n_names && !found; i++)
		if (strcasecmp(ep->names[i].name, name) == 0)
			found = &ep->names[i];
	if (!found) {
		found = append(&ep->names, &ep->n_names, sizeof(*found));
		found->name = pk_strdup(name);
	}
	p = append(&found->addresses, &found->n_addresses, sizeof(*p));
	*p = *addr;
}

struct pk_world *pk_world_new(void)
{
	return pk_alloc(sizeof(struct pk_world));
}

void pk_world_free(struct pk_world *world)
{
	struct node *n, *next;

	if (!world)
		return;
	HASH_ITER (hh, world->nodes, n, next) {
		HASH_DEL(world->nodes, n);
		pk_world_endpoint_free(n->ep);
		free(n);
	}
	free(world);
}

static struct node *find(const struct pk_world *world, const char *key)
{
	struct node *n;

	HASH_FIND(hh, world->nodes, key, strlen(key), n);
	return n;
}

void pk_world_put(struct pk_world *world, struct pk_world_endpoint *ep)
{
	struct node *n = find(world, ep->key);

	if (n) {
		HASH_DEL(world->nodes, n);
		pk_world_endpoint_free(n->ep);
	} else {
		n = pk_alloc(sizeof(*n));
	}
	n->ep = ep;
	HASH_ADD_KEYPTR(hh, world->nodes, ep->key, strlen(ep->key), n);
}

int pk_world_remove(struct pk_world *world, const char *key)
{
	struct node *n = find(world, key);

	if (!n)
		return -ENOENT;
	HASH_DEL(world->nodes, n);
	pk_world_endpoint_free(n->ep);
	free(n);
	return 0;
}

const struct pk_world_endpoint *pk_world_get(const struct pk_world *world, const char *key)
{
	struct node *n = find(world, key);

	return n ? n->ep : NULL;
}

const struct pk_world_endpoint *pk_world_next(const struct pk_world *world,
					      const struct pk_world_endpoint *ep)
{
	struct node *n = world->nodes;

	if (ep) {
		n = find(world, ep->key);
		n = n ? n->hh.next : NULL;
	}
	return n ? n->ep : NULL;
}

size_t pk_world_count(const struct pk_world *world)
{
	return HASH_COUNT(world->nodes);
}
