"""Recomputes test/vectors/*.json from the specification (docs/protocol.md), independently of the program that wrote them.

Python's standard library only. Stops at the first difference and exits with 1; prints how many values agreed otherwise.
`python3 test/vectors/check.py [FOLDER]`
"""

import hashlib
import json
import math
import struct
import sys
from pathlib import Path

ONE = 10**18
U16, U32, U64 = 2**16 - 1, 2**32 - 1, 2**64 - 1
KINDS = ("pr", "hc", "hr", "sc", "sr", "wa", "wb", "au")
WITNESSED = {"wa": ("hc", "sc", "wb", "au"), "wb": ("hr", "sr", "wa")}
PLACES = ("a", "b", "hc", "hr", "sc", "sr", "wa", "wb", "low", "high", "au")


class Difference(Exception):
    pass


class Malformed(Exception):
    """Bytes from outside that are not what they should be."""


agreed = 0


def same(found, stated, what):
    global agreed
    if found != stated:
        raise Difference(f"{what}: computed {str(found)[:400]}, the file says {str(stated)[:400]}")
    agreed += 1


def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def shake256(length, *parts):
    return hashlib.shake_256(b"".join(parts)).digest(length)


def tag(name):
    text = name.encode("ascii")
    return bytes([len(text)]) + text


def u16le(value):
    return struct.pack("<H", value)


def u32le(value):
    return struct.pack("<I", value)


def hexed(text):
    return bytes.fromhex(text)


def float_of(bits):
    return struct.unpack("<f", struct.pack("<I", bits))[0]


# --- 2: the clock


def windows(length):
    def percent(of):
        return -(-length * of // 100)

    commit, reveal = percent(15), percent(50)
    return {"commit": commit, "reveal": reveal, "score": max(percent(60), reveal + 3), "length": length}


def phase_at(block, slot, length):
    if block < slot:
        return None
    epoch, offset = divmod(block - slot, length)
    w = windows(length)
    names = (("commit", "prompt"), ("reveal", "commit"), ("score", "reveal"), ("length", "score"))
    return {"epoch": epoch, "offset": offset, "phase": next(name for end, name in names if offset < w[end])}


def window_of(kind, epoch, slot, length):
    w = windows(length)
    spans = {
        "pr": (0, length),
        "hc": (w["commit"], w["reveal"]),
        "hr": (w["reveal"], w["score"]),
        "wa": (w["reveal"], w["score"]),
        "wb": (w["score"], length),
        "sc": (w["score"], length),
        "au": (w["score"], length),
        "sr": (length + w["reveal"], length + w["score"]),
    }
    first = epoch * length + slot
    return {"opens": first + spans[kind][0], "closes": first + spans[kind][1]}


def quorum_of(validators):
    return -(-2 * validators // 3)


def check_phase(file):
    for group in (file, {"windows": file["stated"]["windows"], "phases": file["stated"]["phases"], "quorums": file["stated"]["quorums"], "kinds": []}):
        for one in group["windows"]:
            same({key: windows(one["length"])[key] for key in one}, one, f"windows of {one['length']}")
        for one in group["phases"]:
            same(phase_at(one["block"], one["slot"], one["length"]), one["at"], f"block {one['block']} of {one['length']}")
        for one in group["kinds"]:
            found = window_of(one["kind"], one["epoch"], one["slot"], one["length"])
            same(found, {"opens": one["opens"], "closes": one["closes"]}, f"window of {one['kind']}")
        for one in group["quorums"]:
            n = one["validators"]
            same((quorum_of(n), n // 3 + 1), (one["quorum"], one["closing"]), f"quorum of {n}")


# --- 3: canonical CBOR of unsigned integers, byte strings, text, arrays and maps with text keys


def encode_head(major, value):
    if value < 24:
        return bytes([major << 5 | value])
    for info, size, most in ((24, ">B", 2**8), (25, ">H", 2**16), (26, ">I", 2**32), (27, ">Q", 2**64)):
        if value < most:
            return bytes([major << 5 | info]) + struct.pack(size, value)
    raise ValueError("beyond 64 bits")


def encode(value):
    if isinstance(value, int):
        return encode_head(0, value)
    if isinstance(value, bytes):
        return encode_head(2, len(value)) + value
    if isinstance(value, str):
        text = value.encode()
        return encode_head(3, len(text)) + text
    if isinstance(value, list):
        return encode_head(4, len(value)) + b"".join(encode(item) for item in value)
    entries = sorted((encode(key), encode(item)) for key, item in value.items())
    return encode_head(5, len(entries)) + b"".join(key + item for key, item in entries)


def decode(data):
    value, end = decode_at(data, 0, 0)
    if end != len(data):
        raise Malformed("bytes behind the end")
    return value


def decode_at(data, at, depth):
    if depth > 16 or at >= len(data):
        raise Malformed("too deep or too short")
    major, info = data[at] >> 5, data[at] & 31
    value, at = decode_head(data, at, info)
    if major == 0:
        return value, at
    if major in (2, 3):
        if at + value > len(data):
            raise Malformed("a string beyond the end")
        part = data[at : at + value]
        try:
            return (part if major == 2 else part.decode()), at + value
        except UnicodeDecodeError as error:
            raise Malformed("no UTF-8") from error
    if major == 4:
        items = []
        for _ in range(value):
            item, at = decode_at(data, at, depth + 1)
            items.append(item)
        return items, at
    if major == 5:
        return decode_map(data, at, value, depth)
    raise Malformed(f"major type {major}")


def decode_head(data, at, info):
    if info < 24:
        return info, at + 1
    if info > 27:
        raise Malformed("an indefinite length or a reserved head")
    size = 1 << (info - 24)
    part = data[at + 1 : at + 1 + size]
    if len(part) < size:
        raise Malformed("too short")
    value = int.from_bytes(part, "big")
    if value < (24 if info == 24 else 1 << (4 << (info - 24))):
        raise Malformed("not the shortest head")
    return value, at + 1 + size


def decode_map(data, at, count, depth):
    found, last = {}, None
    for _ in range(count):
        start = at
        key, at = decode_at(data, at, depth + 1)
        if not isinstance(key, str):
            raise Malformed("a key that is no text")
        spelled = data[start:at]
        if last is not None and spelled <= last:
            raise Malformed("keys not ascending")
        last = spelled
        found[key], at = decode_at(data, at, depth + 1)
    return found, at


# --- fields


def require(holds, why):
    if not holds:
        raise Malformed(why)


def is_uint(value, most):
    return isinstance(value, int) and 0 <= value <= most


def is_bytes(value, least, most=None):
    return isinstance(value, bytes) and least <= len(value) <= (least if most is None else most)


def is_text(value, most):
    """Lengths of text are counted in UTF-16 units."""
    return isinstance(value, str) and len(value.encode("utf-16-le")) // 2 <= most


def is_list(value, most, item):
    return isinstance(value, list) and len(value) <= most and all(item(one) for one in value)


def read_fields(value, fields):
    require(isinstance(value, dict) and set(value) == set(fields), "other keys")
    for key, accepts in fields.items():
        require(accepts(value[key]), f"field {key}")
    return value


def bits_of(bitmap):
    return [i for i in range(8 * len(bitmap)) if bitmap[i >> 3] >> (i & 7) & 1]


def to_bitmap(seats, size):
    out = bytearray(-(-size // 8))
    for seat in seats:
        out[seat >> 3] |= 1 << (seat & 7)
    return bytes(out)


def read_bitmap(bitmap, size):
    require(isinstance(bitmap, bytes) and len(bitmap) == -(-size // 8), "a bitmap of another size")
    seats = bits_of(bitmap)
    require(all(seat < size for seat in seats), "a padding bit")
    return seats


# --- 4: records


def is_hash(value):
    return is_bytes(value, 32)


def is_held(value):
    return (
        isinstance(value, list)
        and len(value) == 2
        and is_bytes(value[0], 0, 32)
        and is_bytes(value[1], 0, 256 * 16)
        and len(value[1]) == 16 * len(bits_of(value[0]))
    )


def is_verdict(value):
    return (
        isinstance(value, list)
        and len(value) == 4
        and is_uint(value[0], U32)
        and is_uint(value[1], U16)
        and is_hash(value[2])
        and is_uint(value[3], 1)
    )


def is_reveal(value):
    return {"z": is_hash, "p": lambda payload: is_bytes(payload, 0, 24 * 1024)}[value]


def is_kind(name):
    return lambda value: value == name


def u32_field(value):
    return is_uint(value, U32)


def witness_fields(kind):
    count = len(WITNESSED[kind])
    return {"h": lambda value: isinstance(value, list) and len(value) == count and all(is_held(one) for one in value)}


FIELDS = {
    "hc": {"c": is_hash, "m": is_hash, "a": lambda value: is_uint(value, 1)},
    "hr": {"z": is_hash, "p": is_reveal("p")},
    "sc": {"c": is_hash},
    "sr": {"z": is_hash, "p": is_reveal("p")},
    "wa": witness_fields("wa"),
    "wb": witness_fields("wb"),
    "au": {"q": lambda value: is_list(value, 64, is_verdict)},
    "pr": {"x": is_hash, "d": is_hash},
    "an": {
        "k": lambda value: is_list(value, 256, lambda one: is_uint(one, U16)),
        "a": lambda value: is_list(value, 16, lambda one: is_text(one, 256)),
        "l": lambda value: is_uint(value, 1000),
        "r": u32_field,
        "f": u32_field,
        "m": u32_field,
        "w": lambda value: is_text(value, 64),
        "b": u32_field,
        "x": u32_field,
    },
}
HEAD = {"v": lambda value: value == 1, "g": is_hash, "s": u32_field, "e": u32_field, "n": u32_field}
MAX_RECORD = 24 * 1024


def read_record(data):
    """Body map, body bytes and signature; Malformed."""
    require(len(data) <= MAX_RECORD, "too large")
    pair = decode(data)
    require(isinstance(pair, list) and len(pair) == 2, "not a pair")
    body_bytes, signature = pair
    require(is_bytes(body_bytes, 0, MAX_RECORD) and is_bytes(signature, 64), "body or signature")
    value = decode(body_bytes)
    require(isinstance(value, dict) and isinstance(value.get("t"), str) and value["t"] in FIELDS, "kind")
    kind = value["t"]
    # Shards that are coming stand there only when there are any.
    coming = {"c": lambda one: is_list(one, 256, lambda shard: is_uint(shard, U16))} if kind == "an" and "c" in value else {}
    body = read_fields(value, {**HEAD, "t": is_kind(kind), **FIELDS[kind], **coming})
    if kind == "an":
        require("c" not in body or len(body["c"]) > 0, "nothing is coming")
        require(all(a < b for a, b in zip(body.get("c", []), body.get("c", [])[1:])), "shards not ascending")
        require(all(a < b for a, b in zip(body["k"], body["k"][1:])), "shards not ascending")
        require(1 <= body["x"] - body["b"] <= 15, "expiry")
    return body, body_bytes, signature


def record_id(body_bytes):
    return sha256(tag("tessera/record-id/1"), body_bytes)


def signed_message(body_bytes):
    return tag("tessera/record/1") + body_bytes


# --- Ed25519 by the cofactorless equation (RFC 8032, 5.1)

P = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
ROOT = pow(2, (P - 1) // 4, P)


def point_of(data):
    """Extended coordinates; None when the bytes are no point."""
    y = int.from_bytes(data, "little")
    sign, y = y >> 255, (y & (2**255 - 1)) % P
    u, v = (y * y - 1) % P, (D * y * y + 1) % P
    x = u * pow(v, 3, P) * pow(u * pow(v, 7, P), (P - 5) // 8, P) % P
    if v * x * x % P == -u % P:
        x = x * ROOT % P
    if v * x * x % P != u:
        return None
    if x & 1 != sign:
        x = -x % P
    return (x, y, 1, x * y % P)


def add(p, q):
    a = (p[1] - p[0]) * (q[1] - q[0]) % P
    b = (p[1] + p[0]) * (q[1] + q[0]) % P
    c = 2 * p[3] * q[3] * D % P
    d = 2 * p[2] * q[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return (e * f % P, g * h % P, f * g % P, e * h % P)


def times(scalar, point):
    out = (0, 1, 1, 0)
    while scalar:
        if scalar & 1:
            out = add(out, point)
        point = add(point, point)
        scalar >>= 1
    return out


def packed(point):
    inverse = pow(point[2], P - 2, P)
    x, y = point[0] * inverse % P, point[1] * inverse % P
    return (y | (x & 1) << 255).to_bytes(32, "little")


BASE_Y = 4 * pow(5, P - 2, P) % P
BASE = point_of(BASE_Y.to_bytes(32, "little"))


def verifies(key, message, signature):
    s = int.from_bytes(signature[32:], "little")
    a = point_of(key)
    if s >= ORDER or a is None:
        return False
    k = int.from_bytes(hashlib.sha512(signature[:32] + key + message).digest(), "little") % ORDER
    minus = (-a[0] % P, a[1], a[2], -a[3] % P)
    return packed(add(times(s, BASE), times(k, minus))) == signature[:32]


BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


def peer_bytes(text):
    value = 0
    for digit in text:
        value = value * 58 + BASE58.index(digit)
    zeros = len(text) - len(text.lstrip("1"))
    return bytes(zeros) + value.to_bytes((value.bit_length() + 7) // 8, "big")


def key_of(peer):
    data = peer_bytes(peer)
    require(len(data) == 38 and data[:6] == hexed("002408011220"), "no Ed25519 peer id")
    return data[6:]


def check_record(file):
    same(key_of(file["peer"]), hexed(file["publicKey"]), "key of the peer")
    same(MAX_RECORD, file["largest"], "largest record")
    for one in file["records"]:
        what = f"record {one['kind']} {one['id'][:8]}"
        data = hexed(one["bytes"])
        body, body_bytes, signature = read_record(data)
        same((body["t"], body["e"], body["n"]), (one["kind"], one["epoch"], one["node"]), what)
        same(record_id(body_bytes).hex(), one["id"], f"id of {what}")
        same(verifies(key_of(file["peer"]), signed_message(body_bytes), signature), True, f"signature of {what}")
        same(encode([encode(body), signature]), data, f"encoding of {what}")
    for one in file["refused"]:
        try:
            read_record(hexed(one["bytes"]))
            code = "taken"
        except Malformed:
            code = "RECORD_MALFORMED"
        same(code, one["code"], f"record with {one['why']}")
    for one in file["signatures"]:
        found = verifies(hexed(one["key"]), hexed(one["message"]), hexed(one["signature"]))
        same(found, one["holds"], f"signature: {one['why']}")


# --- 5: the challenge


def seed_of(genesis, subnet, epoch, block_hash):
    return sha256(tag("tessera/seed/1"), genesis, u32le(subnet), u32le(epoch), block_hash)


def stream_of(length, seed, manifest, shard):
    return shake256(length, tag("tessera/challenge/1"), seed, manifest, u16le(shard))


def tokens_of(seed, manifest, one):
    stream = stream_of(4 * one["positions"], seed, manifest, one["shard"])
    choices = one["vocab"] - one["specials"]
    return [value % choices + one["specials"] for (value,) in struct.iter_unpack("<I", stream)]


def rounded(value):
    """To float32 bits, to nearest, ties to even, beyond the largest to infinity."""
    try:
        return struct.unpack("<I", struct.pack("<f", value))[0]
    except OverflowError:
        return 0x7F800000 if value > 0 else 0xFF800000


def hidden_of(seed, manifest, one):
    stream = stream_of(8 * one["positions"] * one["width"], seed, manifest, one["shard"])
    gain = float_of(one["gBits"])
    sums = [sum(words) - 131070 for words in struct.iter_unpack("<HHHH", stream)]
    # The product of two numbers of 24 bits is exact in a double: one rounding.
    return [rounded(value * gain) for value in sums]


def shards_to_name(seed, node, shards):
    lots = sorted((sha256(tag("tessera/shards/1"), seed, u16le(k), u32le(node)), k) for k in set(shards))
    return sorted(k for _, k in lots[:24])


def drawn_auditors(seed, shard, validators):
    lots = sorted((sha256(tag("tessera/audit/1"), seed, u16le(shard), u32le(node)), node) for node in validators)
    return {node for _, node in lots[:3]}


def check_challenge(file):
    for one in file["seeds"]:
        found = seed_of(hexed(one["genesis"]), one["subnet"], one["epoch"], hexed(one["blockHash"]))
        same(found.hex(), one["seed"], f"seed of epoch {one['epoch']}")
    seed, manifest = hexed(file["seeds"][0]["seed"]), hexed(file["manifest"])
    for one in file["tokens"]:
        same(tokens_of(seed, manifest, one), one["ids"], f"tokens of shard {one['shard']}")
    for one in file["hidden"]:
        same(hidden_of(seed, manifest, one), one["bits"], f"hidden states of shard {one['shard']}")
    parts = [tag("tessera/inputs/1")]
    for k, one in enumerate(file["digest"]["inputs"]):
        values = one["tokens"] if "tokens" in one else one["bits"]
        parts += [u16le(k), b"".join(u32le(value) for value in values)]
    same(sha256(*parts).hex(), file["digest"]["digest"], "digest of the inputs")
    for one in file["named"]:
        same(shards_to_name(seed, one["node"], one["shards"]), one["named"], f"shards that node {one['node']} names")
    for one in file["auditors"]:
        found = sorted(drawn_auditors(seed, one["shard"], one["validators"]))
        same(found, one["drawn"], f"auditors of shard {one['shard']}")


def sketch_of(seed, shard, output, rms_bits):
    values = [float_of(bits) for bits in output]
    if not values or not all(math.isfinite(value) for value in values):
        return None
    count = len(values)
    signs = shake256(-(-128 * count // 8), tag("tessera/sketch/1"), seed, u16le(shard))
    divisor = float_of(rms_bits) * math.sqrt(count * 128)
    entries, bit = [], 0
    for _ in range(128):
        total = 0.0
        for value in values:
            total += value if signs[bit >> 3] >> (bit & 7) & 1 else -value
            bit += 1
        scaled = 2.0**24 * total / divisor
        # round() of a float is exact, ties to even
        limit = 2**31 - 1 if scaled > 0 else -(2**31)
        entries.append(limit if abs(scaled) >= 2**32 else max(-(2**31), min(2**31 - 1, round(scaled))))
    return struct.pack("<128i", *entries)


def check_sketch(file):
    for one in file["sketches"]:
        found = sketch_of(hexed(file["seed"]), one["shard"], one["output"], one["rmsBits"])
        same(None if found is None else found.hex(), one["sketch"], f"sketch: {one['why']}")


# --- 6: commit and reveal


def commitment_of(what, binding, salt, payload):
    peer = peer_bytes(binding["peer"])
    return sha256(
        tag(f"tessera/{what}-commit/1"),
        binding["genesis"],
        u32le(binding["subnet"]),
        u32le(binding["epoch"]),
        u32le(binding["node"]),
        bytes([len(peer)]),
        peer,
        binding["manifest"],
        bytes([1 if binding["audits"] else 0]),
        salt,
        payload,
    )


def read_pairs(payload, most):
    pairs = decode(payload)
    require(isinstance(pairs, list) and len(pairs) <= most, "not a list, or too long")
    last = -1
    for pair in pairs:
        require(isinstance(pair, list) and len(pair) == 2 and is_uint(pair[0], U32), "not a pair")
        require(pair[0] > last, "not ascending")
        last = pair[0]
    return pairs


def read_hoster_payload(payload):
    pairs = read_pairs(payload, 24)
    require(all(k <= U16 and is_bytes(sketch, 512) for k, sketch in pairs), "shard or sketch")
    return pairs


def read_score_payload(payload):
    pairs = read_pairs(payload, 256)
    require(all(is_uint(score, ONE) for _, score in pairs), "score")
    return pairs


def parsed(read, payload):
    try:
        return read(payload)
    except Malformed:
        return None


def check_commitment(file):
    for i, one in enumerate(file["commitments"]):
        same(peer_bytes(one["peer"]).hex(), one["peerBytes"], "bytes of the peer id")
        binding = {**one, "genesis": hexed(one["genesis"]), "manifest": hexed(one["manifest"])}
        found = commitment_of(one["what"], binding, hexed(one["salt"]), hexed(one["payload"]))
        same(found.hex(), one["commitment"], f"commitment {i}")
    for i, one in enumerate(file["hosterPayloads"]):
        found = parsed(read_hoster_payload, hexed(one["bytes"]))
        same(found and [[k, sketch.hex()] for k, sketch in found], one["shards"], f"hoster payload {i}")
    for i, one in enumerate(file["scorePayloads"]):
        found = parsed(read_score_payload, hexed(one["bytes"]))
        same(found and [[node, str(score)] for node, score in found], one["scores"], f"score payload {i}")


# --- 7: evidence


def majority(members, kind):
    """Seat -> short id that more than half of the members list."""
    counts = {}
    for member in members:
        for seat, short in member.get(kind, {}).items():
            counts[seat, short] = counts.get((seat, short), 0) + 1
    return dict(sorted(key for key, times_listed in counts.items() if 2 * times_listed > len(members)))


def read_witness(kind, held, size):
    listed = {}
    for name, (bitmap, ids) in zip(WITNESSED[kind], held, strict=True):
        seats = read_bitmap(bitmap, size)
        require(len(ids) == 16 * len(seats), "ids")
        listed[name] = {seat: ids[16 * i : 16 * i + 16].hex() for i, seat in enumerate(seats)}
    return listed


def choose(kind, members, quorum):
    most = {name: majority(members, name) for name in WITNESSED[kind]}

    def apart(member):
        return sum(len(set(most[name].items()) - set(member[name].items())) + len(set(member[name]) - set(most[name])) for name in most)

    odd = sorted((-apart(member), -seat) for seat, member in enumerate(members) if apart(member) > 0)
    left = {-seat for _, seat in odd[: max(0, len(members) - quorum)]}
    return [seat for seat in range(len(members)) if seat not in left]


def root_of(nodes, places):
    parts = [tag("tessera/evidence/1")]
    for c, place in enumerate(PLACES):
        for seat, node in enumerate(nodes):
            if seat in places[place]:
                parts += [bytes([c]), u32le(node), places[place][seat]]
    return sha256(*parts)


def encode_args(epoch, first, second, equivocators, root, size):
    maps = {"a": to_bitmap(first, size), "b": to_bitmap(second, size), "q": to_bitmap(equivocators, size)}
    return encode({"v": 1, "e": epoch, **maps, "r": root})


def read_args(data, size):
    require(len(data) <= 512, "too long")
    bitmap = lambda value: is_bytes(value, 0, 32)
    fields = {"v": lambda value: value == 1, "e": u32_field, "a": bitmap, "b": bitmap, "q": bitmap, "r": is_hash}
    args = read_fields(decode(data), fields)
    return {key: read_bitmap(args[key], size) for key in "abq"} | {"e": args["e"], "r": args["r"]}


def read_policy(data):
    require(len(data) <= 1024, "too long")
    one = lambda value: is_uint(value, ONE)
    fields = {
        "v": lambda value: value == 1,
        "m": is_hash,
        "c": lambda value: is_text(value, 64),
        "h": one,
        "a": one,
        "t": lambda value: is_uint(value, 256) and value >= 1,
        "u": one,
        "x": lambda value: value in ("open", "registered", "private"),
    }
    policy = read_fields(decode(data), fields)
    require(policy["h"] + policy["a"] <= ONE, "shares")
    return policy


def check_evidence(file):
    same(sha256(tag("tessera/evidence/1")).hex(), file["emptyRoot"], "root of nothing")
    for one in file["policies"]:
        policy = {
            "v": 1,
            "m": hexed(one["manifest"]),
            "c": one["cut"],
            "h": int(one["hosterShare"]),
            "a": int(one["attestorShare"]),
            "t": one["challengeTokens"],
            "u": int(one["auditRate"]),
            "x": one["access"],
        }
        same(encode(policy).hex(), one["bytes"], "policy")
        same(read_policy(hexed(one["bytes"])), policy, "policy read")
        same(sha256(hexed(one["bytes"])).hex(), one["hash"], "hash of the policy")
    for one in file["policiesRefused"]:
        same(parsed(read_policy, hexed(one["bytes"])) is not None, one["taken"], f"policy with {one['why']}")
    for one in file["args"]:
        parts = (one["epoch"], one["first"], one["second"], one["equivocators"], hexed(one["root"]))
        same(encode_args(*parts, one["seats"]).hex(), one["bytes"], "args")
        read = read_args(hexed(one["bytes"]), one["seats"])
        same((read["e"], read["a"], read["b"], read["q"], read["r"]), parts, "args read")
    for one in file["argsRefused"]:
        found = parsed(lambda data, size=one["seats"]: read_args(data, size), hexed(one["bytes"]))
        same(found is not None, one["taken"], f"args with {one['why']}")
    for one in file["roots"]:
        places = {place: {seat: hexed(name) for seat, name in ids} for place, ids in one["places"].items()}
        same(root_of(one["nodes"], places).hex(), one["root"], "root")
    for i, one in enumerate(file["witnesses"]):
        held = [[(hexed(part["seats"]), hexed(part["ids"])) for part in member] for member in one["members"]]
        members = [read_witness(one["kind"], lists, one["seats"]) for lists in held]
        for kind in WITNESSED[one["kind"]]:
            found = [[seat, short] for seat, short in majority(members, kind).items()]
            same(found, one["in"][kind], f"what is in of {kind} by witnesses {i}")
        same(choose(one["kind"], members, one["quorum"]), one["named"], f"who is named of witnesses {i}")
    check_epoch(file["epoch"])


# --- 8: scores


def median(values):
    ordered, half = sorted(values), len(values) // 2
    return ordered[half] if len(values) % 2 else (ordered[half - 1] + ordered[half]) // 2


def median_vector(vectors):
    return [median(column) for column in zip(*vectors, strict=True)]


def quality(entries, reference, tau):
    distance = math.isqrt(sum((a - b) ** 2 for a, b in zip(entries, reference, strict=True)))
    return ONE * tau // (tau + distance) if distance <= 16 * tau else 0


def agreement(scores, reference):
    apart = sum(abs(a - b) for a, b in zip(scores, reference, strict=True))
    both = sum(scores) + sum(reference)
    return ONE * (both - apart) // both if both else 0


def score(case, seed):
    """case: current, previous, previousLive, validators, taus, shares; hosters {node: (audits, {shard: entries})}; reveals; presence; zeroed."""
    current, zeroed = case["current"], case["zeroed"]
    pay = {}
    for k, tau in enumerate(case["taus"]):
        drawn = drawn_auditors(seed, k, case["validators"])
        group = []
        for node in current:
            audits, sketches = case["hosters"].get(node, (False, {}))
            if k in sketches and node not in zeroed and (not audits or node in drawn):
                group.append((node, audits, sketches[k]))
        if not group:
            continue
        reference = median_vector([entries for _, _, entries in group])
        earned = {}
        for node, audits, entries in group:
            if not audits:
                q = quality(entries, reference, tau)
                earned[node] = q // 2 if len(group) < 3 else q
        divisor = max(sum(earned.values()), 3 * ONE)
        for node, q in earned.items():
            pay[node] = pay.get(node, 0) + ONE * q // divisor
    votes = attestor_pay(case)
    all_pay, all_votes = sum(pay.values()), sum(votes.values())
    result = []
    for node in current:
        audits, _ = case["hosters"].get(node, (True, {}))
        if node in zeroed or (not audits and pay.get(node, 0) == 0):
            continue
        value = case["hosterShare"] * pay.get(node, 0) // all_pay if all_pay else 0
        value += case["attestorShare"] * votes[node] // all_votes if all_votes else 0
        if value > 0:
            result.append([node, str(value)])
    return result


def attestor_pay(case):
    before = case["previous"]
    could = {node for node in case["current"] if case["previousLive"] and node in before}
    vectors = {}
    for node in case["current"]:
        revealed = case["reveals"].get(node)
        if revealed is None or node not in could or node in case["zeroed"] or not set(revealed) <= set(before):
            continue
        vectors[node] = [revealed.get(other, 0) for other in before]
    reference = median_vector(list(vectors.values())) if vectors else []
    pay = {}
    for node in case["current"]:
        if node not in could:
            a = ONE
        else:
            a = agreement(vectors[node], reference) if node in vectors else 0
        pay[node] = a * case["presence"].get(node, 0) // 2
    return pay


def check_score(file):
    for one in file["stated"]["isqrt"] + file["isqrt"]:
        same(str(math.isqrt(int(one["of"]))), one["is"], f"root of {one['of']}")
    for one in file["stated"]["median"] + file["median"]:
        same(median(one["of"]), one["is"], f"median of {one['of']}")
    for one in file["quality"]:
        same(str(quality(one["entries"], one["reference"], one["tau"])), one["q"], f"quality at {one['entries']}")
    for one in file["agreement"] + [file["example"]["agreement"]]:
        reveals = [[int(value) for value in scores] for scores in one["reveals"]]
        reference = median_vector(reveals)
        same([str(agreement(scores, reference)) for scores in reveals], one["a"], "agreement")
    check_example(file["example"], hexed(file["seed"]))
    for one in file["cases"]:
        case = {
            **one,
            "hosterShare": int(one["hosterShare"]),
            "attestorShare": int(one["attestorShare"]),
            "hosters": {h["node"]: (h["audits"], {s["shard"]: s["entries"] for s in h["sketches"]}) for h in one["hosters"]},
            "reveals": {r["node"]: {node: int(value) for node, value in r["scores"]} for r in one["reveals"]},
            "presence": {int(node): w for node, w in one["presence"].items()},
        }
        same(score(case, hexed(file["seed"])), one["scores"], f"scores: {one['why']}")


def check_example(one, seed):
    nodes = [1, 2, 3, 4, 5]
    hosters = {}
    for sketch in one["sketches"]:
        hosters.setdefault(sketch["node"], (False, {}))[1][sketch["shard"]] = sketch["entries"]
    case = {
        "current": nodes,
        "previous": nodes,
        "previousLive": True,
        "validators": nodes,
        "taus": one["taus"],
        "hosterShare": int(one["hosterShare"]),
        "attestorShare": int(one["attestorShare"]),
        "hosters": hosters,
        "reveals": {r["node"]: {i + 1: int(value) for i, value in enumerate(r["scores"])} for r in one["reveals"]},
        "presence": {int(node): w for node, w in one["presence"].items()},
        "zeroed": [],
    }
    same(score(case, seed), [[int(node), value] for node, value in one["scores"].items()], "the worked example")


# --- one epoch, from records to scores


def check_epoch(file):
    e, nodes = file["epoch"], [node["id"] for node in file["nodes"]]
    keys = {node["id"]: node["peer"] for node in file["nodes"]}
    records = {}
    for text in file["records"]:
        body, body_bytes, signature = read_record(hexed(text))
        same(verifies(key_of(keys[body["n"]]), signed_message(body_bytes), signature), True, "signature of a record")
        same((body["g"].hex(), body["s"]), (file["genesis"], file["subnet"]), "chain and subnet of a record")
        records[record_id(body_bytes)] = body
    args = read_args(hexed(file["args"]), len(nodes))
    same(args["e"], e, "epoch of the args")
    quorum = quorum_of(len(nodes))
    same(len(args["a"]) >= quorum and len(args["b"]) >= quorum, True, "quorums")
    ids = {place: {} for place in PLACES}
    for place, kind, seats in (("a", "wa", args["a"]), ("b", "wb", args["b"])):
        for seat in seats:
            (ids[place][seat],) = [i for i, body in records.items() if (body["t"], body["e"], body["n"]) == (kind, e, nodes[seat])]
    lists = {
        place: [read_witness(kind, records[i]["h"], len(nodes)) for i in ids[place].values()]
        for place, kind in (("a", "wa"), ("b", "wb"))
    }
    for kind in ("hc", "hr", "sc", "sr", "wa", "wb", "au"):
        listed_by = "b" if kind in ("hr", "sr", "wa") else "a"
        for seat, short in majority(lists[listed_by], kind).items():
            (ids[kind][seat],) = [i for i in records if i.hex().startswith(short)]
            body = records[ids[kind][seat]]
            stated = (kind, file["epochs"][kind], nodes[seat])
            same((body["t"], body["e"], body["n"]), stated, "kind, epoch and node of a record that is in")
            same(body["e"], e if kind in ("hc", "hr", "wa") else e - 1, f"epoch of {kind}")
    for seat in args["q"]:
        slots = {}
        for i, body in records.items():
            if body["n"] == nodes[seat]:
                slots.setdefault((body["t"], body["e"]), []).append(i)
        (faces,) = [sorted(slot) for slot in slots.values() if len(slot) == 2]
        ids["low"][seat], ids["high"][seat] = faces
    same(root_of(nodes, ids).hex(), args["r"].hex(), "root of the epoch's evidence")
    by_node = {kind: {nodes[seat]: records[i] for seat, i in ids[kind].items()} for kind in ("hc", "hr", "sc", "sr", "wa", "wb", "au")}
    case = {
        "current": nodes,
        "previous": nodes,
        "previousLive": True,
        "validators": nodes,
        "taus": file["taus"],
        "hosterShare": int(file["hosterShare"]),
        "attestorShare": int(file["attestorShare"]),
        "hosters": work_of(file, keys, by_node),
        "reveals": votes_of(file, keys, by_node),
        "presence": {node: (node in by_node["wa"]) + (node in by_node["wb"]) for node in nodes},
        "zeroed": {nodes[seat] for seat in args["q"]} | accused(by_node["au"], len(nodes)),
    }
    same(score(case, hexed(file["seed"])), file["scores"], "scores of the epoch")


def opened(file, keys, what, commit, reveal):
    """The payload, or None when the reveal is missing or does not open the commitment."""
    if reveal is None:
        return None
    binding = {
        "genesis": commit["g"],
        "subnet": commit["s"],
        "epoch": commit["e"],
        "node": commit["n"],
        "peer": keys[commit["n"]],
        "manifest": hexed(file["manifest"]),
        "audits": commit.get("a") == 1,
    }
    holds = commitment_of(what, binding, reveal["z"], reveal["p"]) == commit["c"]
    return reveal["p"] if holds else None


def work_of(file, keys, by_node):
    hosters = {node: (False, {}) for node in by_node["hr"] if node not in by_node["hc"]}
    for node, commit in by_node["hc"].items():
        payload = opened(file, keys, "hoster", commit, by_node["hr"].get(node))
        pairs = payload is not None and parsed(read_hoster_payload, payload) or []
        hosters[node] = (commit["a"] == 1, {k: list(struct.unpack("<128i", sketch)) for k, sketch in pairs})
    return hosters


def votes_of(file, keys, by_node):
    votes = {}
    for node, commit in by_node["sc"].items():
        payload = opened(file, keys, "score", commit, by_node["sr"].get(node))
        pairs = None if payload is None else parsed(read_score_payload, payload)
        if pairs is not None:
            votes[node] = dict(pairs)
    return votes


def accused(audits, validators):
    counts = {}
    for body in audits.values():
        for node in {verdict[0] for verdict in body["q"] if verdict[3] == 1}:
            counts[node] = counts.get(node, 0) + 1
    return {node for node, count in counts.items() if 2 * count > validators}


CHECKS = {
    "phase": check_phase,
    "challenge": check_challenge,
    "sketch": check_sketch,
    "commitment": check_commitment,
    "record": check_record,
    "evidence": check_evidence,
    "score": check_score,
}


def main():
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent
    for name, check in CHECKS.items():
        before = agreed
        try:
            check(json.loads((folder / f"{name}.json").read_text()))
        except Difference as difference:
            print(f"{name}.json: {difference}", file=sys.stderr)
            return 1
        print(f"{name}.json: {agreed - before} values agree")
    return 0


if __name__ == "__main__":
    sys.exit(main())
