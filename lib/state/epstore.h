/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * An endpoint's record: one durable file `<container id>@<ifname>@<slot>`, which moves into closed/
 * once DEL (or its successor) has closed it. Whoever loads the tables anew renames the records that
 * were there before: their slots are nobody's any more, and they get 0 for one.
 * What outlives the process, the device and a reboot.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "addr.h"
#include "eplimits.h"
#include "err.h"
#include "own.h"
#include "paths.h"
#include "picket/limits.h"

struct pk_record_port {
	uint8_t proto; /* IPPROTO_TCP, UDP, SCTP */
	uint16_t host, container;
	union pk_addr host_addr; /* all zero = every address of the node */
};

/* Strings are owned; NULL = absent. */
struct pk_record {
	char *container_id, *ifname;
	uint32_t slot;
	bool closed;
	char *network; /* the conflist's name */
	char *netns;   /* path */
	uint64_t netns_inode;
	uint64_t epoch[2]; /* numbers and device below count only under it */
	/* who it is */
	char *labels;			 /* canonical text of the label set that is in force */
	char *tenant_name, *job, *group; /* claims of CNI_ARGS */
	bool believed;			 /* job and group are the operator's word */
	bool quarantined;		 /* set by ADD: no namespace, or no policy could be made */
	char *declared; /* label set that `picket attach` gave; NULL: a CNI runtime's ADD made it */
	bool unproven;	/* nobody knew whose word the claims are: nobody believes them */
	uint32_t tenant, identity;
	/* where it is */
	union pk_addr ipv4, ipv6, gateway4;
	uint8_t ipv4_prefix;
	uint8_t mac[6], host_mac[6];
	uint32_t mtu;
	uint32_t host_ifindex, eth_ifindex, tap_ifindex; /* tap 0 = process mode */
	bool process, tcx, masquerade, masquerade6;
	bool host_tap; /* the host end is the tap itself; nothing is in the netns */
	char *tap;     /* the tap's name */
	uint32_t tap_owner, tap_group, queues;
	/* The limits that ADD was told: by the conflist, the runtime and the job's arguments. */
	struct pk_limits limits, bandwidth, job_limits;
	uint32_t burst[2]; /* bandwidth's bursts in bytes, by enum pk_dir */
	union pk_addr dns4[PK_TOLD_SERVERS], dns6[PK_TOLD_SERVERS]; /* all zero = none */
	char *search; /* domain names between blanks; NULL = none */
	/* true: those are the node's own, and change with it; resolv.conf said them. */
	bool dns_of_node, search_of_node;
	struct pk_record_port *ports;
	size_t n_ports;
	size_t n_untranslated; /* ports of an earlier release that were read and left out */
	/* what was answered */
	char *version; /* cniVersion */
	char *result;  /* the CNI result, JSON text */
	char *created; /* RFC 3339, for people */
};
void pk_record_done(struct pk_record *record);
/* Collects the record's resolvers in one list; returns how many there are. */
size_t pk_record_servers(const struct pk_record *record,
			 union pk_addr servers[2 * PK_TOLD_SERVERS]);
#define own_record PK_OWN(pk_record_done) struct pk_record

/* A file's name, taken apart: nothing of the file is read. */
struct pk_record_name {
	char container_id[PK_CNI_ID_MAX + 1];
	char ifname[PK_IFNAME_MAX + 1];
	uint32_t slot; /* 0: from before the tables were loaded */
	bool closed;
};
/* Reads a name in endpoints/; `….closed` was the first release's form of a closed one. */
int pk_record_name_parse(const char *file, struct pk_record_name *name);
/* Makes the name of an open record; -EINVAL: no file can have it. */
int pk_record_name_of(const char *container_id, const char *ifname, uint32_t slot,
		      struct pk_record_name *name);
/* Writes `<container id>@<ifname>`, the owner in a lease file. */
const char *pk_record_owner(const struct pk_record_name *name,
			    char text[PK_CNI_ID_MAX + PK_IFNAME_MAX + 2]);

/* Makes the directories, so that no DEL has to. */
int pk_records_make(const struct pk_paths *paths, struct pk_err *err);
/* Removes closed/, if it is empty. */
void pk_records_unmake(const struct pk_paths *paths);
/*
 * Lists all records, open ones before closed ones, by container id; the caller frees. No directory:
 * none.
 */
int pk_records_list(const struct pk_paths *paths, struct pk_record_name **list, size_t *n,
		    struct pk_err *err);
/* Writes at most n closed records to list; returns how many. */
size_t pk_records_list_closed(const struct pk_paths *paths, struct pk_record_name *list, size_t n);
size_t pk_records_count_closed(const struct pk_paths *paths);
/*
 * Finds the open record of a container id and interface: -ENOENT where there is none. It reads the
 * whole directory: with tables at hand use pk_endpoint_find (epfind.h).
 */
int pk_record_find(const struct pk_paths *paths, const char *container_id, const char *ifname,
		   struct pk_record_name *name, struct pk_err *err);
/* Returns whether there is a file of that name. */
bool pk_record_exists(const struct pk_paths *paths, const struct pk_record_name *name);

/*
 * Reads a record, strictly: unknown keys, wrong types, a content that isn't its name's are errors
 * (PK_CODE_STATE).
 */
int pk_record_read(const struct pk_paths *paths, const struct pk_record_name *name,
		   struct pk_record *record, struct pk_err *err);
/*
 * Writes a record, durably (temporary file, fsync, rename, fsync of the directory). Makes the
 * directory.
 */
int pk_record_write(const struct pk_paths *paths, const struct pk_record *record,
		    struct pk_err *err);
/* Closes a record by rename, not synced. One that is already closed, or gone, is success. */
int pk_record_close(const struct pk_paths *paths, const struct pk_record_name *name,
		    struct pk_err *err);
/* Renames an open record to slot 0, since the tables were loaded anew. */
int pk_record_outlive(const struct pk_paths *paths, const struct pk_record_name *name,
		      struct pk_err *err);
/*
 * Deletes a record's file: for the name of a closed record the closed file alone, for an open one's
 * whichever there is. Gone is success.
 */
int pk_record_delete(const struct pk_paths *paths, const struct pk_record_name *name,
		     struct pk_err *err);
