# SPDX-License-Identifier: Apache-2.0
"""What a compiled object does, without what it only says of its source: to tell two apart."""
import struct

TEXT_ONLY = (".debug", ".rel.debug", ".rela.debug", ".BTF", ".rel.BTF", ".comment", ".llvm", ".note")


def code(path):
    """{section: bytes} of a 64-bit ELF file, but for debugging data and names."""
    with open(path, "rb") as file:
        data = file.read()
    table, = struct.unpack_from("<Q", data, 0x28)
    size, count, names = struct.unpack_from("<HHH", data, 0x3a)
    headers = [struct.unpack_from("<IIQQQQ", data, table + size * i) for i in range(count)]
    text = headers[names][4]
    found = {}
    for name, kind, _, _, start, length in headers:
        label = data[text + name:data.index(b"\0", text + name)].decode()
        if kind != 8 and not label.startswith(TEXT_ONLY) and label not in (".strtab", ".symtab"):
            found[label] = data[start:start + length]
    return found
