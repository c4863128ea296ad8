"""Counts rows and bytes of keys and values in an export of the metadata (docs/format/metadata-export.md).

exported.py FILE          prints rows and bytes
exported.py FILE kinds    prints rows and bytes for each first byte of keys
"""
import collections
import sys


def uvarint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, at


def count(stream):
    rows, size = collections.Counter(), collections.Counter()
    stream.readline()
    while head := stream.read(5):
        payload = stream.read(int.from_bytes(head[1:], "big"))
        stream.read(4)
        at = 0
        while head[:1] == b"R" and at < len(payload):
            begin, (n, at) = at, uvarint(payload, at)
            kind = chr(payload[at]) if n else ""
            at += n
            m, at = uvarint(payload, at)
            at += m
            rows[kind] += 1
            size[kind] += n + m
    return rows, size


if __name__ == "__main__":
    with open(sys.argv[1], "rb") as file:
        rows, size = count(file)
    print(sum(rows.values()), sum(size.values()))
    if len(sys.argv) > 2:
        for kind in sorted(rows):
            print(kind, rows[kind], size[kind])
