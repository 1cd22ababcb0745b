# SPDX-License-Identifier: Apache-2.0
"""What an editor shows as a default of picketd.json is what a picketd takes to which nobody says more (the conflist's: tests/unit/test_cni_example.c)."""
import json
import os
import subprocess

from harness.shell import TREE


def defaults(whole, schema, path=""):
    """{key, with its section's name before it: what the schema says is taken without it}"""
    while "$ref" in schema:
        schema = {**whole["$defs"][schema["$ref"].rsplit("/", 1)[1]], **{key: value for key, value in schema.items() if key != "$ref"}}
    found = {path: schema["default"]} if "default" in schema else {}
    for other in schema.get("anyOf", []):
        found |= defaults(whole, other, path)
    for key, inner in schema.get("properties", {}).items():
        found |= defaults(whole, inner, f"{path}.{key}".lstrip("."))
    return found


def test_the_schemas_defaults_are_what_is_taken(node):
    """Of the file `{}`, and of none at all."""
    with open(os.path.join(TREE, "examples/picketd.schema.json"), encoding="utf-8") as file:
        schema = json.load(file)
    said = defaults(schema, schema)
    assert len(said) == 17 and said["timeouts.tcpOpen"] == 21600 and said["baseline"] == "tenant", said
    path = os.path.join(node.root, "etc/picket/picketd.json")
    for text in ("{}", None):
        if text:
            node.write_root("etc/picket/picketd.json", text)
        else:
            os.unlink(path)
        with open(node.log_path, "a", encoding="utf-8") as log:
            node.picketd = node.popen([node.program("picketd"), "-root", node.root, *(() if text else ("-accept-missing-config",))], stdin=subprocess.DEVNULL,
                                      stdout=log, stderr=log)
        node.picketd_serves()
        config = node.api("/v1/config")["config"]
        assert {key: config[key] for key in said} == {key: {"value": value, "origin": "default"} for key, value in said.items()}
        node.kill_picketd()
