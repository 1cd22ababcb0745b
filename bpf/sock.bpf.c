// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * These programs are attached to a cgroup, and let the node's own processes reach published ports.
 * Packets of those processes never come in by an uplink, so the address is changed where the socket
 * names it, and changed back where the socket is told it. The packets then go to the endpoint's own
 * address, and TO_ENDPOINT judges them as the host's.
 *
 * What they would send to the overlay's port is refused: other nodes would believe that it comes
 * out of this node's tunnel.
 *
 * Processes of other network namespaces (an allocation's, a container's) are left alone: their
 * packets pass a guard, or are forwarded.
 */
#include <linux/in.h>
#include "lib/maps.h"
#include "lib/overlay.h"
#include "lib/publish.h"

#define SOCK_PEERS 16384

/* The network namespace that the programs serve: the loader's. */
const volatile __u64 pk_netns = 0;

/* What a socket of the node asked for is kept under the address that it was led to. */
struct sock_peer_key {
	__u64 cookie;
	union pk_addr addr;
	__be16 port;
	__u16 proto;
	__u32 pad;
};
struct sock_peer {
	union pk_addr addr;
	__be16 port;
	__u16 pad[3];
};

/*
 * The least recently used entry goes when the table is full: only the node's own processes write
 * here.
 */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, SOCK_PEERS);
	__type(key, struct sock_peer_key);
	__type(value, struct sock_peer);
} sock_peers SEC(".maps");

/* An address and a port as a socket names them. */
struct sock_name {
	union pk_addr addr;
	__be16 port;
};

static __always_inline void sock_mapped(union pk_addr *addr, __be32 v4)
{
	addr->d[0] = 0;
	addr->w[2] = PK_V4_MAPPED;
	addr->w[3] = v4;
}

static __always_inline bool sock_is_loopback(const union pk_addr *a)
{
	if (pk_addr_is_v4(a))
		return a->b[12] == 127;
	return !a->d[0] && a->d[1] == bpf_cpu_to_be64(1);
}

/*
 * Returns whether the mapping on every address of the node is one on this address. The FIB can't be
 * asked from this hook.
 */
static __always_inline bool sock_is_nodes(const union pk_addr *addr)
{
	const struct pk_node *n = node_get();

	return sock_is_loopback(addr) || (n && publish_is_uplinks(n, addr));
}

static __always_inline const struct pk_published *sock_mapping(const struct sock_name *name,
							       __u8 proto)
{
	struct pk_published_key key = { .proto = proto, .port = name->port };
	const struct pk_published *any = bpf_map_lookup_elem(&published, &key);

	if (!any)
		return NULL;
	if (any->slot)
		return sock_is_nodes(&name->addr) ? any : NULL;
	key.addr = name->addr;
	any = bpf_map_lookup_elem(&published, &key);
	return any && any->slot ? any : NULL;
}

static __always_inline bool sock_is_ours(struct bpf_sock_addr *ctx)
{
	return (ctx->protocol == IPPROTO_TCP || ctx->protocol == IPPROTO_UDP) &&
	       bpf_get_netns_cookie(ctx) == pk_netns;
}

/* Changes *name to the endpoint's own address and port, and keeps what the socket said. */
static __always_inline bool sock_lead(struct bpf_sock_addr *ctx, struct sock_name *name)
{
	struct sock_peer_key key = { .cookie = bpf_get_socket_cookie(ctx), .proto = ctx->protocol };
	struct sock_peer asked = { .addr = name->addr, .port = name->port };
	const struct pk_published *to = sock_mapping(name, ctx->protocol);
	const struct pk_endpoint *ep;
	__u32 slot;

	if (!to)
		return false;
	slot = to->slot;
	ep = bpf_map_lookup_elem(&endpoints, &slot);
	if (!ep)
		return false;
	key.addr = pk_addr_is_v4(&name->addr) ? ep->ipv4 : ep->ipv6;
	key.port = to->port;
	if (pk_addr_zero(&key.addr) || bpf_map_update_elem(&sock_peers, &key, &asked, BPF_ANY))
		return false;
	name->addr = key.addr;
	name->port = key.port;
	return true;
}

/* Changes *name back to what the socket had asked for. */
static __always_inline bool sock_back(struct bpf_sock_addr *ctx, struct sock_name *name)
{
	struct sock_peer_key key = { .cookie = bpf_get_socket_cookie(ctx),
				     .addr = name->addr,
				     .port = name->port,
				     .proto = ctx->protocol };
	const struct sock_peer *asked = bpf_map_lookup_elem(&sock_peers, &key);

	if (!asked)
		return false;
	name->addr = asked->addr;
	name->port = asked->port;
	return true;
}

/* Returns whether it would be taken for the overlay's, as guard_to_overlay does of an endpoint. */
static __always_inline bool sock_to_overlay(struct bpf_sock_addr *ctx, const struct sock_name *name)
{
	const struct pk_node *n = node_get();

	return n && overlay_is_port(n, ctx->protocol, name->port) && sock_is_ours(ctx) &&
	       !overlay_pool(&name->addr);
}

static __always_inline void sock_read4(const struct bpf_sock_addr *ctx, struct sock_name *name)
{
	sock_mapped(&name->addr, ctx->user_ip4);
	name->port = (__be16)ctx->user_port;
}

static __always_inline void sock_read6(const struct bpf_sock_addr *ctx, struct sock_name *name)
{
	name->addr.w[0] = ctx->user_ip6[0];
	name->addr.w[1] = ctx->user_ip6[1];
	name->addr.w[2] = ctx->user_ip6[2];
	name->addr.w[3] = ctx->user_ip6[3];
	name->port = (__be16)ctx->user_port;
}

static __always_inline void sock_name4(struct bpf_sock_addr *ctx,
				       bool (*change)(struct bpf_sock_addr *, struct sock_name *))
{
	struct sock_name name;

	sock_read4(ctx, &name);
	if (!sock_is_ours(ctx) || !change(ctx, &name))
		return;
	ctx->user_ip4 = name.addr.w[3];
	ctx->user_port = name.port;
}

static __always_inline void sock_name6(struct bpf_sock_addr *ctx,
				       bool (*change)(struct bpf_sock_addr *, struct sock_name *))
{
	struct sock_name name;

	sock_read6(ctx, &name);
	if (!sock_is_ours(ctx) || !change(ctx, &name))
		return;
	ctx->user_ip6[0] = name.addr.w[0];
	ctx->user_ip6[1] = name.addr.w[1];
	ctx->user_ip6[2] = name.addr.w[2];
	ctx->user_ip6[3] = name.addr.w[3];
	ctx->user_port = name.port;
}

/* 1 is "go on", 0 "not permitted". */
#define PK_SOCK_LEAD(hook, family)                                                                 \
	SEC("cgroup/" #hook #family)                                                               \
	int pk_##hook##family(struct bpf_sock_addr *ctx)                                           \
	{                                                                                          \
		struct sock_name name;                                                             \
                                                                                                   \
		sock_read##family(ctx, &name);                                                     \
		if (sock_to_overlay(ctx, &name))                                                   \
			return 0;                                                                  \
		sock_name##family(ctx, sock_lead);                                                 \
		return 1;                                                                          \
	}
#define PK_SOCK_BACK(hook, family)                                                                 \
	SEC("cgroup/" #hook #family)                                                               \
	int pk_##hook##family(struct bpf_sock_addr *ctx)                                           \
	{                                                                                          \
		sock_name##family(ctx, sock_back);                                                 \
		return 1;                                                                          \
	}

PK_SOCK_LEAD(connect, 4)
PK_SOCK_LEAD(connect, 6)
PK_SOCK_LEAD(sendmsg, 4)
PK_SOCK_LEAD(sendmsg, 6)
PK_SOCK_BACK(recvmsg, 4)
PK_SOCK_BACK(recvmsg, 6)
PK_SOCK_BACK(getpeername, 4)
PK_SOCK_BACK(getpeername, 6)

char LICENSE[] SEC("license") = "Dual BSD/GPL";
