/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The handle, and one message of its batch: for files that make netlink messages themselves. */
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "nl.h"

#define PK_NL_MESSAGES 48
#define PK_NL_ROOM     32768

struct pk_nl {
	int fd;
	uint32_t seq;	  /* of the next message */
	size_t len, last; /* of the batch, and where its last message begins */
	unsigned int n;
	bool overflow;
	char what[PK_NL_MESSAGES][64];	  /* for errors: "add filter pk_from_endpoint" */
	_Alignas(8) char buf[PK_NL_ROOM]; /* of struct nlmsghdr, one after the other */
};

/*
 * A message under construction; its body and attributes are libnl's. NULL never: small allocations
 * abort.
 */
struct nl_msg *pk_nl_message(uint16_t type, uint16_t flags, const void *body, size_t size);
/* Inside of IFLA_AF_SPEC: the kernel makes no link-local address. */
void pk_nl_put_no_addrgen(struct nl_msg *msg);
/* Takes msg over into the batch. fmt says what it does, for errors. */
void pk_nl_push(struct pk_nl *nl, struct nl_msg *msg, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/*
 * Sends msg, which it frees: a dump or a single request. It calls each for every answer. Returns 0
 * or -errno.
 */
int pk_nl_ask(struct pk_nl *nl, struct nl_msg *msg,
	      void (*each)(void *arg, struct nlmsghdr *answer), void *arg);
/* Adds an address as an attribute: 4 bytes for IPv4, 16 for IPv6. */
void pk_nl_put_addr(struct nl_msg *msg, int type, const union pk_addr *addr);
/* Reads an address from an attribute; one of another length leaves addr alone. */
void pk_nl_get_addr(struct nlattr *attr, union pk_addr *addr);
