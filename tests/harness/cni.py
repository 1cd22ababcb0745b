# SPDX-License-Identifier: Apache-2.0
"""The CNI verbs of a node, called as libcni calls the plugin."""
import json
import os
import uuid

from . import netns
from .shell import Failed, binary, run


class CniError(Failed):
    """The plugin refused: .code, .msg, .details of its error object."""

    def __init__(self, verb, error, status):
        self.code, self.msg = error.get("code"), error.get("msg", "")
        self.details, self.status = error.get("details", ""), status
        super().__init__(f"{verb}: code {self.code}: {self.msg}; {self.details}")


class CniMixin:
    """Of Node: uses its options, root and run."""

    clock = None	# a Clock: the plugin's, where it is the machine's that is set

    def plugin_conf(self, **more):
        """
        What the plugin reads: the conflist's plugin object with name and version. Deadline and wait are
        long: the first ADD of a node loads the programs, a test machine may be busy, and an endpoint is under
        its policy once ADD has ended. picketd answers within two seconds, whomever it has asked.
        """
        o = self.options
        return {"cniVersion": o.cni_version, "name": o.network, "type": "picket",
                "root": self.root, "deadline": "60s",
                **({"pool": list(o.pool)} if o.pool else {}),
                "waitForController": "15s", **o.conf, **more}

    @staticmethod
    def cni_args(alloc_id, namespace=None, job=None, group=None, **more):
        args = {"IgnoreUnknown": "true", "NOMAD_REGION": "global", "NOMAD_NAMESPACE": namespace,
                "NOMAD_JOB_ID": job, "NOMAD_GROUP_NAME": group,
                "NOMAD_ALLOC_ID": alloc_id if namespace else None, **more}
        return ";".join(f"{key}={value}" for key, value in args.items() if value is not None)

    def cni_raw(self, verb, env, stdin, binary_name=None, timeout=120, **kw):
        """One call with exactly this environment and standard input."""
        clean = {"PATH": os.environ["PATH"], "CNI_PATH": "/opt/cni/bin"}
        kept = ("PK_", "ASAN_", "UBSAN_")
        clean.update({k: v for k, v in os.environ.items() if k.startswith(kept)})
        program = binary(binary_name) if binary_name else self.program("picket-cni")
        return run([program], check=False, stdin=stdin, timeout=timeout,
                   preexec_fn=netns.entering(self.net, self.mnt),
                   env={**clean, **self.fault_env(), **(self.clock.env if self.clock else {}), "CNI_COMMAND": verb, **env}, **kw)

    def cni(self, verb, alloc_id="", netns_path="", *, ifname="eth0", args="", conf=None,
            prev=None, **kw):
        """A verb; its answer as an object (None where there is none) or CniError."""
        conf = dict(self.plugin_conf() if conf is None else conf)
        if prev is not None:
            conf["prevResult"] = prev
        env = {"CNI_CONTAINERID": alloc_id, "CNI_NETNS": netns_path, "CNI_IFNAME": ifname,
               "CNI_ARGS": args}
        done = self.cni_raw(verb, env, json.dumps(conf), **kw)
        try:
            answer = json.loads(done.stdout) if done.stdout.strip() else None
        except ValueError as error:
            raise Failed(f"{verb}: no JSON on standard output: {done.stdout!r}") from error
        if done.returncode:
            if answer is None:
                raise Failed(f"{verb}: status {done.returncode} and no error object\n{done.stderr}")
            raise CniError(verb, answer, done.returncode)
        return answer

    def add(self, namespace=None, job=None, group=None, *, alloc_id=None, conf=None, **args):
        """A new allocation, attached; Alloc with .result. args: more of CNI_ARGS."""
        alloc = self.new_netns(alloc_id or str(uuid.uuid4()))
        alloc.args = self.cni_args(alloc.id, namespace, job, group, **args)
        alloc.result = self.cni("ADD", alloc.id, alloc.path, args=alloc.args, conf=conf)
        return alloc

    def check(self, alloc, **kw):
        return self.cni("CHECK", alloc.id, alloc.path, args=alloc.args, prev=alloc.result, **kw)

    def delete(self, alloc, *, drop=True):
        """DEL as Nomad does it: no CNI_ARGS, once, then the netns goes."""
        self.cni("DEL", alloc.id, alloc.path, prev=alloc.result)
        if drop:
            self.drop_netns(alloc)
