/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* One alloc as Nomad gives it, in the pieces that tests put together. */
#define ALLOC_ID "4e975ed8-3e04-254e-11a3-5c29b1507321"
#define ALLOC_HEAD_OK                                                                              \
	"{\"ID\": \"" ALLOC_ID "\", \"Namespace\": \"acme\", \"JobID\": \"api/dispatch-1\","       \
	" \"TaskGroup\": \"web\", \"ClientStatus\": \"running\", \"CreateTime\": "                 \
	"1763970000000000000,"
#define ALLOC_PORTS                                                                                \
	" \"AllocatedResources\": {\"Shared\": {\"Ports\": ["                                      \
	"{\"Label\": \"ssh\", \"Value\": 24722, \"To\": 22, \"HostIP\": \"127.0.0.1\"},"           \
	"{\"Label\": \"raw\", \"Value\": 21570, \"To\": 0}]}},"
#define ALLOC_JOB                                                                                  \
	" \"Job\": {\"ID\": \"api/dispatch-1\", \"ParentID\": \"api\", \"Region\": \"global\","    \
	" \"Meta\": {\"tier\": \"x\", \"owner\": \"me\", \"host\": \"${node.unique.name}\"},"      \
	" \"TaskGroups\": [{\"Name\": \"other\"}, {\"Name\": \"web\", \"Meta\": {\"tier\": "       \
	"\"web\"},"                                                                                \
	" \"Services\": [{\"Name\": \"api\", \"PortLabel\": \"ssh\", \"Checks\": ["                \
	"{\"Type\": \"tcp\"}, {\"Type\": \"http\", \"PortLabel\": \"raw\"},"                       \
	"{\"Type\": \"script\", \"PortLabel\": \"ssh\"}, {\"Type\": \"http\", \"PortLabel\": "     \
	"\"8080\"}]}],"                                                                            \
	" \"Tasks\": [{\"Name\": \"vm\", \"Services\": [{\"Name\": \"side\"}]}, {\"Name\": "       \
	"\"b\", \"Services\": null}]}]}}"
#define ALLOC	    ALLOC_HEAD_OK ALLOC_PORTS ALLOC_JOB
#define OTHER_ALLOC ALLOC_HEAD_OK ALLOC_JOB
