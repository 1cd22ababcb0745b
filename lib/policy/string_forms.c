/* SPDX-License-Identifier: Apache-2.0 */
#include "string_forms.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "addr.h"
#include "doc.h"
#include "icmp.h"

#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS	"0123456789"

static bool has_control(const char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < 0x20 || *text == 0x7f)
			return true;
	return false;
}

/* A document's name becomes a file's name below the accepted documents. */
static bool fits_name(const char *text)
{
	size_t n = strlen(text);

	return n >= 1 && n <= 128 && text[0] != '.' && !strchr(text, '/') && !has_control(text);
}
const struct pk_format pk_format_name = {
	.expected = "a name of 1 to 128 bytes, without '/' and control characters, not starting "
		    "with '.'",
	.pattern = "^[^/.\\u0000-\\u001f\\u007f][^/\\u0000-\\u001f\\u007f]{0,127}$",
	.fits = fits_name,
};

static bool fits_namespace(const char *text)
{
	size_t n = strlen(text);

	return n >= 1 && n <= 128 && strspn(text, LETTERS DIGITS "-") == n;
}
const struct pk_format pk_format_namespace = {
	.expected = "a Nomad namespace (letters, digits and '-', at most 128)",
	.pattern = "^[a-zA-Z0-9-]{1,128}$",
	.fits = fits_namespace,
};

static const char *const tier_words[] = { "operator", "tenant", "baseline", NULL };
const struct pk_format pk_format_tier = { .expected = "operator, tenant or baseline",
					  .words = tier_words };

static const char *const operator_words[] = { "In", "NotIn", "Exists", "DoesNotExist", NULL };
const struct pk_format pk_format_operator = { .expected = "In, NotIn, Exists or DoesNotExist",
					      .words = operator_words };

static bool fits_label_key(const char *text)
{
	own_mem char *key = NULL;

	return pk_doc_label_key(text, &key, NULL) == 0;
}

/* pk_doc_label_key has the reason and the nearest label. */
static const char *label_key_hint(const char *text)
{
	static _Thread_local struct pk_err why;
	own_mem char *key = NULL;

	if (pk_doc_label_key(text, &key, &why) == 0)
		return NULL;
	return why.fix[0] ? why.fix : why.text;
}

#define LABEL_KEYS                                                                                 \
	"nomad:(?!service$)[^\\u0000-\\u001f\\u007f]+|meta:[^\\u0000-\\u001f\\u007f]+|"            \
	"any:[^\\u0000-\\u001f\\u007f]+|consul:service|[^:\\u0000-\\u001f\\u007f]+|"               \
	"netreap:nomad\\.(job_id|namespace|task_group_id)"
const struct pk_format pk_format_label_key = {
	.expected = "a label like \"nomad:job\", \"consul:service\", \"meta:tier\"",
	.pattern = "^(" LABEL_KEYS "|reserved:(host|world|remote-node|init))$",
	.fits = fits_label_key,
	.hint = label_key_hint,
};

static bool fits_expression_key(const char *text)
{
	return strncmp(text, "reserved:", 9) != 0 && fits_label_key(text);
}

static const char *expression_key_hint(const char *text)
{
	if (strncmp(text, "reserved:", 9) == 0)
		return "an entity stands alone: \"matchLabels\": {\"reserved:host\": \"\"}";
	return label_key_hint(text);
}
const struct pk_format pk_format_expression_key = {
	.expected = "a label like \"nomad:job\", and none of \"reserved:\"",
	.pattern = "^(" LABEL_KEYS ")$",
	.fits = fits_expression_key,
	.hint = expression_key_hint,
};

static bool fits_cidr(const char *text)
{
	struct pk_prefix prefix;

	return pk_prefix_parse(text, &prefix) == 0;
}
#define OCTET "(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
#define V4    "(" OCTET "\\.){3}" OCTET
#define H     "[0-9a-fA-F]{1,4}"
#define V6                                                                                         \
	"(" H ":){7}" H "|(" H ":){1,7}:|(" H ":){1,6}:" H "|(" H ":){1,5}(:" H "){2}|"            \
	"(" H ":){1,4}(:" H "){3}|(" H ":){1,3}(:" H "){4}|(" H ":){1,2}(:" H "){5}|" H ":(:" H    \
	"){6}|:((:" H "){1,7}|:)|"                                                                 \
	"(" H ":){6}" V4 "|(" H ":){0,5}" H "::(" H ":){0,4}" V4 "|::(" H ":){0,5}" V4
const struct pk_format pk_format_cidr = {
	.expected = "a prefix like \"10.0.0.0/8\" or \"fd00::/8\", or an address",
	.pattern = "^(" V4 "(/(3[0-2]|[12]?[0-9]))?|(" V6 ")(/(12[0-8]|1[01][0-9]|[1-9]?[0-9]))?)$",
	.fits = fits_cidr,
};

static const char *const entity_words[] = { "all",     "world", "world-ipv4",  "world-ipv6",
					    "cluster", "host",	"remote-node", "init",
					    "none",    NULL };

static const char *entity_hint(const char *text)
{
	static const char *const kubernetes[] = { "kube-apiserver", "health", "unmanaged",
						  "ingress", NULL };

	for (size_t i = 0; kubernetes[i]; i++)
		if (strcmp(text, kubernetes[i]) == 0)
			return "only Kubernetes has this entity: remove it";
	return NULL;
}
const struct pk_format pk_format_entity = {
	.expected = "all, world, world-ipv4, world-ipv6, cluster, host, remote-node, init or none",
	.words = entity_words,
	.hint = entity_hint,
};

static bool fits_service(const char *text)
{
	return *text && !has_control(text);
}
const struct pk_format pk_format_service = {
	.expected = "the name of a service",
	.pattern = "^[^\\u0000-\\u001f\\u007f]+$",
	.fits = fits_service,
};

/* Parts of letters between single dots, a last dot allowed. */
static bool is_dns_name(const char *text, const char *letters)
{
	const char *p = text;

	if (strlen(text) > 255)
		return false;
	for (;;) {
		size_t n = strspn(p, letters);

		if (n == 0)
			return false;
		p += n;
		if (!*p || strcmp(p, ".") == 0)
			return true;
		if (*p++ != '.')
			return false;
	}
}

static bool fits_fqdn_name(const char *text)
{
	return is_dns_name(text, LETTERS DIGITS "-_");
}
const struct pk_format pk_format_fqdn_name = {
	.expected = "a DNS name of at most 255 characters",
	.pattern = "^(?=.{1,255}$)([-a-zA-Z0-9_]+\\.)*[-a-zA-Z0-9_]+\\.?$",
	.fits = fits_fqdn_name,
};

static bool fits_fqdn_pattern(const char *text)
{
	return is_dns_name(text, LETTERS DIGITS "-_*");
}
const struct pk_format pk_format_fqdn_pattern = {
	.expected = "a DNS name with '*', at most 255 characters",
	.pattern = "^(?=.{1,255}$)([-a-zA-Z0-9_*]+\\.)*[-a-zA-Z0-9_*]+\\.?$",
	.fits = fits_fqdn_pattern,
};

/* Returns whether it is two numbers with a hyphen between them: no label of Nomad's has one. */
static bool is_range(const char *text)
{
	size_t first = strspn(text, DIGITS);

	return first && text[first] == '-' && text[first + 1] &&
	       text[first + 1 + strspn(text + first + 1, DIGITS)] == '\0';
}

static bool fits_port(const char *text)
{
	size_t n = strlen(text);
	uint64_t number;

	if (strspn(text, DIGITS) == n)
		return pk_parse_u64(text, 65535, &number) == 0 && (text[0] != '0' || n == 1);
	if (is_range(text))
		return false;
	return n <= 128 && text[0] != '-' && strspn(text, LETTERS DIGITS "_-") == n;
}

static const char *port_hint(const char *text)
{
	static _Thread_local char hint[80];
	const char *number = text + strspn(text, "0");
	size_t first = strspn(number, DIGITS);

	if (is_range(text)) {
		snprintf(hint, sizeof(hint), "write \"port\": %.*s, \"endPort\": %.20s",
			 (int)(first < 20 ? first : 20), number, number + first + 1);
		return hint;
	}
	if (!*number || strspn(number, DIGITS) != strlen(number) || !fits_port(number))
		return NULL;
	snprintf(hint, sizeof(hint), "write \"%s\"", number);
	return hint;
}
const struct pk_format pk_format_port = {
	.expected = "a port 0..65535, or a Nomad port label",
	.pattern = "^(0|[1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|"
		   "6553[0-5]|(?=.{1,128}$)(?![0-9]+(-[0-9]+)?$)[a-zA-Z0-9_][a-zA-Z0-9_-]*)$",
	.fits = fits_port,
	.hint = port_hint,
};

static bool fits_protocol(const char *text)
{
	uint8_t proto;

	return pk_protocol_parse(text, &proto) == 0;
}

static const char *protocol_hint(const char *text)
{
	if (strcasecmp(text, "VRRP") == 0)
		return "write its number: 112";
	if (strcasecmp(text, "IGMP") == 0)
		return "write its number: 2";
	return NULL;
}
const struct pk_format pk_format_protocol = {
	.expected = "TCP, UDP, SCTP, ANY, ICMP, ICMPv6, GRE, ESP, AH, IPIP or a number 1..254",
	.pattern = "^([Tt][Cc][Pp]|[Uu][Dd][Pp]|[Ss][Cc][Tt][Pp]|[Aa][Nn][Yy]|[Ii][Cc][Mm][Pp]([Vv]"
		   "6)?|"
		   "[Gg][Rr][Ee]|[Ee][Ss][Pp]|[Aa][Hh]|[Ii][Pp][Ii][Pp]|"
		   "[1-9][0-9]?|1[0-9][0-9]|2[0-4][0-9]|25[0-4])$",
	.fits = fits_protocol,
	.hint = protocol_hint,
};

static const char *const family_words[] = { "IPv4", "IPv6", NULL };
const struct pk_format pk_format_family = { .expected = "IPv4 or IPv6", .words = family_words };

/* Types of either family; doc_ports.c knows which one is meant. */
static bool fits_icmp_type(const char *text)
{
	uint8_t type;

	return pk_icmp_type(text, false, false, &type) == 0 ||
	       pk_icmp_type(text, true, false, &type) == 0;
}

static const char *icmp_type_hint(const char *text)
{
	static _Thread_local char hint[80];
	const char *near = NULL;
	uint8_t type;

	for (int v6 = 0; v6 <= 1 && !near; v6++)
		near = pk_icmp_type(text, v6, true, &type) == 0
			       ? pk_icmp_type_name(v6, type)
			       : pk_nearest(text, pk_icmp_type_names(v6));
	snprintf(hint, sizeof(hint), "did you mean \"%s\"?", near ?: "");
	return near ? hint : NULL;
}
const struct pk_format pk_format_icmp_type = {
	.expected = "an ICMP type: 0..255, or a name like \"EchoRequest\"",
	.pattern = "^([0-9]|[1-9][0-9]|1[0-9][0-9]|2[0-4][0-9]|25[0-5]|[A-Z][A-Za-z]+)$",
	.fits = fits_icmp_type,
	.hint = icmp_type_hint,
};
