"""Recomputes every golden vector from docs/PROTOCOL.md, sharing no code with peerlog.

Needs Python 3.9 or later and the package `cryptography` 44 or later (Argon2id, Ed25519, ChaCha20-Poly1305).

    python3 test/vectors/check.py
"""

import json
import struct
import unicodedata
from hashlib import blake2b
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

unhex = bytes.fromhex


def read(name):
    return json.loads((Path(__file__).parent / f"{name}.json").read_text("utf-8"))


def h(data, key=b""):
    return blake2b(data, digest_size=32, key=key).digest()


def varint(n):
    out = bytearray()
    while n >= 0x80:
        out.append(n & 0x7F | 0x80)
        n >>= 7
    out.append(n)
    return bytes(out)


def check_topics():
    for v in read("topics"):
        key = unhex(v["key"]) if v["key"] else b""
        assert h(v["databaseId"].encode(), key).hex() == v["topic"], v


def check_keys():
    for v in read("keys"):
        db = v["databaseId"].encode()
        tag = h(b"peerlog 1 database\0" + db)
        assert tag.hex() == v["tag"], v
        if "passphrase" in v:
            salt = h(b"peerlog 1 argon2id\0" + tag)[:16]
            password = unicodedata.normalize("NFC", v["passphrase"]).encode()
            root = Argon2id(salt=salt, length=32, iterations=3, lanes=1, memory_cost=65536).derive(password)
        elif "secret" in v:
            root = unhex(v["secret"])
        else:
            assert h(b"peerlog 1 admission\0" + db).hex() == v["admission"], v
            assert h(b"peerlog 1 datagrams\0" + db).hex() == v["datagrams"], v
            assert v["topicKey"] is None and v["seal"] is None and v["topic"] == h(db).hex(), v
            continue
        topic_key = h(b"peerlog 1 topic\0" + tag, root)
        assert topic_key.hex() == v["topicKey"], v
        assert h(b"peerlog 1 admission\0" + tag, root).hex() == v["admission"], v
        assert h(b"peerlog 1 datagrams\0" + tag, root).hex() == v["datagrams"], v
        assert h(b"peerlog 1 seal\0" + tag, root).hex() == v["seal"], v
        assert h(db, topic_key).hex() == v["topic"], v


def hchacha20(key, nonce16):
    mask = 0xFFFFFFFF
    s = list(struct.unpack("<4I8I4I", b"expand 32-byte k" + key + nonce16))

    def quarter(a, b, c, d):
        for x, y, z, bits in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
            s[x] = s[x] + s[y] & mask
            t = s[z] ^ s[x]
            s[z] = (t << bits | t >> 32 - bits) & mask

    for _ in range(10):
        for i in range(4):
            quarter(i, 4 + i, 8 + i, 12 + i)
        for i in range(4):
            quarter(i, 4 + (i + 1) % 4, 8 + (i + 2) % 4, 12 + (i + 3) % 4)
    return struct.pack("<8I", *s[:4], *s[12:])


def seal(key, nonce, body, header):
    return ChaCha20Poly1305(hchacha20(key, nonce[:16])).encrypt(bytes(4) + nonce[16:], body, header)


def clock(v):
    return v["time"].to_bytes(6, "big") + v["tick"].to_bytes(2, "big")


def check_events():
    for v in read("events")["events"]:
        b = v["body"]
        subject, kind = b["subject"].encode(), b["type"].encode()
        body = clock(b) + bytes([{"json": 0, "bytes": 1}[b["format"]]])
        body += varint(len(subject)) + subject + varint(len(kind)) + kind + varint(len(b["links"]))
        for link in b["links"]:
            body += unhex(link["author"]) + varint(link["seq"]) + clock(link)
        body += unhex(b["data"])
        header = bytes([1, 1 if v["sealKey"] else 0]) + unhex(v["author"]) + varint(v["seq"])
        if v["sealKey"]:
            nonce = unhex(v["nonce"])
            body = nonce + seal(unhex(v["sealKey"]), nonce, body, header)
        assert (header + body).hex() == v["bytes"], v["name"]
        assert h(header + body).hex() == v["id"], v["name"]


def peaks_of(ids):
    """(hash, flat-tree index, bytes) of each peak, tallest first."""

    def node(first, leaves):
        if leaves == 1:
            return h(b"\0" + struct.pack("<Q", 32) + ids[first])
        half = leaves // 2
        return h(b"\1" + struct.pack("<Q", 32 * leaves) + node(first, half) + node(first + half, half))

    first, out = 0, []
    for height in reversed(range(len(ids).bit_length())):
        leaves = 1 << height
        if len(ids) & leaves:
            out.append((node(first, leaves), 2 * first + leaves - 1, 32 * leaves))
            first += leaves
    return out


def check_logs():
    v = read("logs")
    tag, author = unhex(v["databaseTag"]), unhex(v["author"])
    private = Ed25519PrivateKey.from_private_bytes(unhex(v["authorSeed"]))
    assert private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw) == author
    events = [unhex(e) for e in v["events"]]
    ids = [h(e) for e in events]
    assert [i.hex() for i in ids] == v["ids"]
    for head in v["heads"]:
        length = head["length"]
        peaks = peaks_of(ids[:length])
        assert b"".join(p for p, _, _ in peaks).hex() == head["peaks"], head
        root = h(b"\2" + b"".join(p + struct.pack("<QQ", i, size) for p, i, size in peaks))
        assert root.hex() == head["root"], head
        statement = b"peerlog 1 head\0" + b"\1" + tag + author + length.to_bytes(8, "big") + root
        assert private.sign(statement).hex() == head["signature"], head
        Ed25519PublicKey.from_public_bytes(author).verify(unhex(head["signature"]), statement)
    for run in v["runs"]:
        first, count = run["from"], run["count"]
        out = author + varint(first)
        if run["peaks"] is None:
            out += b"\0"
        else:
            peaks = b"".join(p for p, _, _ in peaks_of(ids[:first]))
            assert peaks.hex() == run["peaks"], run["name"]
            out += b"\1" + peaks
        out += varint(count) + b"\1" + unhex(v["heads"][first + count]["signature"])
        for event in events[first : first + count]:
            out += varint(len(event)) + event
        assert out.hex() == run["bytes"], run["name"]


PATH_FRAMES = ["HELLO", "BEGIN", "ATTACH", "ATTACHED", "REJECT", "USE", "DATA", "PART", "ACK", "CLOSE", "PING", "PONG", "END"]
PART_BYTES = 4_194_295


def path_frame(frame, fields):
    out = bytes([1 + PATH_FRAMES.index(frame)])
    # In the order in which a frame has them.
    for name, value in fields.items():
        if name == "version":
            out += bytes([value])
        elif name in ("incarnation", "id", "message"):
            out += unhex(value)
        elif name in ("count", "received", "number"):
            out += varint(value)
        elif name == "zeros":
            out += bytes(value)
        elif name == "reason":
            out += value.encode()
        else:
            raise AssertionError(name)
    return out


def read_varint(data):
    """(value, rest), or None."""
    value = 0
    for i, byte in enumerate(data[:8]):
        value |= (byte & 0x7F) << 7 * i
        if byte < 0x80:
            return (value, data[i + 1 :]) if value < 2**53 and varint(value) == data[: i + 1] else None
    return None


def is_reason(data):
    try:
        return len(data) <= 256 and data.decode() is not None
    except UnicodeDecodeError:
        return False


def is_path_frame(data):
    if not data or not 1 <= data[0] <= len(PATH_FRAMES):
        return False
    frame, rest = PATH_FRAMES[data[0] - 1], data[1:]
    if frame == "HELLO":
        return len(rest) == 33 if rest[:1] == b"\3" else len(rest) >= 33
    if frame in ("REJECT", "USE", "PING", "PONG"):
        return not rest
    if frame == "END":
        return is_reason(rest)
    if frame == "ATTACH":
        if len(rest) < 16:
            return False
        rest = rest[16:]
    read = read_varint(rest)
    if read is None:
        return False
    value, rest = read
    if frame == "DATA":
        return 1 <= len(rest) <= PART_BYTES
    if frame == "PART":
        return len(rest) == PART_BYTES
    if frame == "CLOSE":
        return is_reason(rest)
    return not rest and not (frame == "ACK" and value == 0)


def check_paths():
    vectors = read("paths")
    for v in vectors["frames"]:
        out = path_frame(v["frame"], v["fields"])
        assert out.hex() == v["bytes"] if len(out) <= 1000 else out[:32].hex() == v["bytes"], v["name"]
        assert h(out).hex() == v["hash"], v["name"]
        assert is_path_frame(out), v["name"]
    assert {v["frame"] for v in vectors["frames"]} == set(PATH_FRAMES)
    for v in vectors["refused"]:
        assert not is_path_frame(unhex(v["bytes"])), v["name"]
    for v in vectors["connections"]:
        path = unhex(v["pathHash"])
        assert h(b"peerlog paths id 1" + path)[:16].hex() == v["id"], v
        assert blake2b(b"peerlog paths hash 1" + path, digest_size=64).hexdigest() == v["handshakeHash"], v


if __name__ == "__main__":
    for check in (check_topics, check_keys, check_events, check_logs, check_paths):
        check()
        print(check.__name__, "ok")
