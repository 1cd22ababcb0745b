/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The plugin's configuration -> struct (docs/cni.md, "Conflist"): from the plugin's standard input,
 * or from a conflist's file for whom looks at it beforehand. Pure: no file, no clock.
 * ADD and STATUS refuse what they don't know; DEL, CHECK and GC take what they need and ignore
 * the rest, so that a conflist edited after ADD never stops a DEL.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "addr.h"
#include "eplimits.h"
#include "err.h"
#include "json.h"
#include "picket/types.h"
#include "schema.h"
#include "settings.h"

#define CNI_POOLS_MAX  8
#define CNI_DNS_MAX    4 /* servers */
#define CNI_SEARCH_MAX 6
#define CNI_PORTS_MAX  512 /* port mappings of one endpoint */
#define CNI_QUEUES_MAX 16

enum cni_verb {
	CNI_ADD,
	CNI_DEL,
	CNI_CHECK,
	CNI_GC,
	CNI_STATUS,
	CNI_VERSION,
};
const char *cni_verb_name(enum cni_verb verb);

/* The arguments that a job may set for itself, if the conflist's allowJobArgs names them. */
enum cni_job_arg {
	CNI_JOB_MAC = 1 << 0,
	CNI_JOB_IP = 1 << 1,
	CNI_JOB_LIMITS = 1 << 2,
};

/*
 * Returns the bit of "picket.mac" and so on, 0 if there is none of that name. Names ends with NULL.
 */
unsigned int cni_job_arg_bit(const char *name);
extern const char *const cni_job_arg_names[];
/* Allows ^[a-zA-Z0-9][a-zA-Z0-9_.-]*$ (CNI pkg/utils) that is short enough for a file's name. */
bool cni_id_ok(const char *id);
/*
 * Allows 1 to 15 bytes, no '/', ':', blank or control character, not "." or ".." (CNI pkg/utils).
 */
bool cni_ifname_ok(const char *name);

enum cni_version { CNI_0_3_1, CNI_0_4_0, CNI_1_0_0, CNI_1_1_0 };
const char *cni_version_name(enum cni_version version);

struct cni_dns {
	bool given;	   /* the conflist names servers, or that there are none */
	bool search_given; /* the same of the search list */
	union pk_addr server[CNI_DNS_MAX];
	size_t n_servers;
	char *search[CNI_SEARCH_MAX]; /* owned */
	size_t n_search;
};

struct cni_port {
	uint8_t proto; /* IPPROTO_TCP, IPPROTO_UDP or IPPROTO_SCTP */
	uint16_t host, container;
	union pk_addr host_addr; /* all zero = every address of the node */
};

struct cni_conf {
	struct pk_json_doc *doc; /* owned; NULL after cni_conf_take */
	enum cni_version version;
	const char *name;
	const char *root; /* "/" by default */
	struct pk_prefix pool[CNI_POOLS_MAX];
	size_t n_pools;
	union pk_addr gateway; /* all zero = the pool's first address */
	bool process;	       /* "mode" is process, not vm */
	bool host_tap;	       /* "attach" is host-tap */
	int64_t owner, group;  /* -1 = not named */
	uint32_t mtu;	       /* 0 = the uplink's */
	uint32_t queues;
	struct cni_dns dns;
	struct pk_uplink_names uplinks; /* none: the devices of the default routes */
	bool has_baseline;
	enum pk_baseline baseline;
	struct pk_masquerade masquerade;
	uint32_t wait_ms; /* waitForController */
	uint32_t deadline_ms;
	struct pk_limits limits;
	struct pk_limits bandwidth; /* the limits of runtimeConfig: bytes alone */
	uint32_t burst[2];	    /* its bursts in bytes, by enum pk_dir */
	unsigned int job_args;	    /* enum cni_job_arg bits */
	bool tcx;
	bool strict_status;
	int log_level;		/* enum pk_level */
	struct cni_port *ports; /* owned; no entry twice */
	size_t n_ports;
	const struct pk_json *prev_result; /* NULL = none */
	/* GC: cni.dev/valid-attachments, and cni.dev/attachments; NULL = absent */
	const struct pk_json *attachments[2];
};
extern const char *const cni_attachment_keys[2];

#define CNI_STDIN_MAX (1u << 20)

/* Returns the whole verb's time in milliseconds, where the conflist doesn't say it (yet). */
uint32_t cni_deadline_default(enum cni_verb verb);

int cni_conf_parse(const char *text, size_t len, enum cni_verb verb, struct cni_conf *conf,
		   struct pk_err *err);
/* One plugin's object inside a document, and what a runtime adds to it from the list's head. */
struct cni_conf_text {
	struct pk_json_doc *doc; /* stays the caller's, and must outlive the conf */
	const struct pk_json *plugin;
	const struct pk_json *name, *version; /* NULL = absent */
};
int cni_conf_take(const struct cni_conf_text *in, enum cni_verb verb, struct cni_conf *conf,
		  struct pk_err *err);
void cni_conf_done(struct cni_conf *conf);

/* Reads "500ms", "2s", "1m", or the number 0 as milliseconds; -EINVAL otherwise. */
int cni_duration_parse(const char *text, uint32_t *ms);

/* Writes the conflist's form as a JSON Schema, for editors. */
void cni_conf_schema(struct pk_str *out);

/* Parts of cni_conf_parse, in cni_conf_*.c. Forms keep into a struct cni_conf. */
extern const struct pk_schema cni_form_conf; /* our plugin's object */
extern const struct pk_schema cni_form_pool, cni_form_gateway, cni_form_dns;
int cni_runtime_read(struct cni_conf *conf, const struct pk_json *value, struct pk_err *err);
int cni_ports_parse(struct cni_conf *conf, const struct pk_json *mappings, struct pk_err *err);
/* Reads runtimeConfig.bandwidth: bits, in any case of its keys; 0 is no limit. */
int cni_bandwidth_parse(struct cni_conf *conf, const struct pk_json *value, struct pk_err *err);
/* Checks that the plugin's mode has a tap to attach so; it needs all of the plugin's keys. */
int cni_attach_check(const struct cni_conf *conf, const struct pk_json *plugin, struct pk_err *err);
/* Allows 1 to 253 of a domain name's characters: it goes into DHCP and resolv.conf. */
bool cni_domain_ok(const char *text);
