/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The base chains of the node's own firewall that drop what no earlier rule of theirs accepts, by
 * their policy or by a last rule. Looked at are the two hooks that packets of endpoints pass: input
 * and forward. Nothing is ever written.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pk_firewall_chain {
	char tool[20];	/* "nft", "iptables-legacy", "ip6tables-legacy" */
	char family[8]; /* nft's: "ip", "ip6", "inet" */
	char table[256], chain[256];
	bool input;	  /* false: forward */
	bool opened;	  /* a rule accepts what comes from, or goes to, devices pk* before that */
	bool port_opened; /* a rule accepts the port that was asked about before that */
};

#define PK_FIREWALL_CHAINS 16

struct pk_firewall {
	struct pk_firewall_chain chain[PK_FIREWALL_CHAINS];
	size_t n;
};

/*
 * Reads the current netns' chains of nftables, and those of iptables' older tables. port: of UDP,
 * to which a rule may open an input chain; 0: of none. 0, -errno.
 */
int pk_firewall_read(struct pk_firewall *firewall, uint16_t port);

struct fw_chains;
/* Adds the chains of iptables' older tables (firewall_legacy.c). */
int pk_firewall_read_legacy(struct fw_chains *chains);
