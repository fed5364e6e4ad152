#!/usr/bin/env python3
"""Reads a backup repository from docs/backup-format.md alone, and restores the newest version of every record.

    reader.py REPOSITORY PASSPHRASE-FILE DESTINATION

Writes each record that is there as COLLECTION/ID.json (canonical JSON), each artifact's content as artifacts/INODE, and prints
the manifest with the Merkle root over the log as this program computed it. Needs argon2-cffi, blake3, cryptography and zstandard.
"""

import hashlib
import hmac
import json
import struct
import sys
from pathlib import Path

import blake3
import zstandard
from argon2.low_level import Type, hash_secret_raw
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

COLLECTIONS = ["", "identities", "sessions", "memories", "agent_dna", "timeline", "snapshots", "reflections", "citations",
               "entries", "agent_links", "glyphtrail", "artifacts"]
DATA, LIST, PACK_HEADER, PADDING, INDEX, MANIFEST, NOTE, MARK, LOCK = range(1, 10)
SLOT_BYTES = 128 << 10


def hchacha20(key, nonce):
    """The key of XChaCha20 for the first 16 bytes of a nonce."""
    state = list(struct.unpack("<4I", b"expand 32-byte k") + struct.unpack("<8I", key) + struct.unpack("<4I", nonce))

    def quarter(a, b, c, d):
        for x, y, z, turn in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
            state[x] = (state[x] + state[y]) & 0xFFFFFFFF
            mixed = state[z] ^ state[x]
            state[z] = ((mixed << turn) | (mixed >> (32 - turn))) & 0xFFFFFFFF

    for _ in range(10):
        for column in range(4):
            quarter(column, column + 4, column + 8, column + 12)
        for a, b, c, d in ((0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14)):
            quarter(a, b, c, d)
    return struct.pack("<8I", *(state[:4] + state[12:]))


def open_xchacha(key, nonce, sealed, context):
    return ChaCha20Poly1305(hchacha20(key, nonce[:16])).decrypt(b"\0" * 4 + nonce[16:], sealed, context)


class Repository:
    def __init__(self, path, passphrase):
        self.path = path
        lines, digest = (path / "REPOSITORY").read_text().rstrip("\n").rsplit("\nsha256 ", 1)
        assert hashlib.sha256((lines + "\n").encode()).hexdigest() == digest, "REPOSITORY is damaged"
        title, form, features, repository = lines.split("\n")
        assert (title, form, features) == ("MirrorDNA backup repository", "format 1", "features 0x0")
        self.id = bytes.fromhex(repository.removeprefix("repository "))
        self.master = self.open_slot(passphrase)
        self.seal, self.name = self.derive(b"seal"), self.derive(b"name")
        self.blobs = {}
        for file in (path / "index").iterdir():
            content = self.file("index", file.name, INDEX)
            while content:
                pack, _, count = struct.unpack_from("<32sII", content)
                content = content[40:]
                for _ in range(count):
                    kind, name, offset, length = struct.unpack_from("<B32sII", content)
                    self.blobs[name] = (kind, pack.hex(), offset, length)
                    content = content[41:]

    def derive(self, label):
        return hmac.new(self.master, b"mirrordna backup " + label, hashlib.sha256).digest()

    def open_slot(self, passphrase):
        for file in (self.path / "keys").iterdir():
            slot = file.read_bytes()
            body, digest = slot[:-32], slot[-32:]
            assert hashlib.sha256(body).digest() == digest, f"the slot {file.name} is damaged"
            magic, version, kind, repository, slot_id, _, memory, passes, lanes, salt, label = struct.unpack_from(
                "<8sBB16s8sQIII16sH", body)
            assert (magic, version, repository, slot_id.hex()) == (b"MDNASLOT", 1, self.id, file.name)
            assert memory <= 2 << 20 and passes <= 64 and lanes <= 64 and memory * passes <= 8 << 20
            head = body[:72 + label]
            nonce, sealed = body[len(head):len(head) + 24], body[len(head) + 24:]
            key = b"\0" * 32 if kind == 0 else hash_secret_raw(passphrase, salt, passes, memory, lanes, 32, Type.ID)
            try:
                return open_xchacha(key, nonce, sealed, head)
            except InvalidTag:  # another slot may open
                continue
        raise SystemExit("no slot opens")

    def open(self, kind, name, sealed):
        context = b"mirrordna backup 1" + bytes([kind]) + self.id + name
        plain = open_xchacha(self.seal, sealed[:24], sealed[24:], context)
        codec, stored, length = struct.unpack_from("<BII", plain)
        content, padding = plain[9:9 + stored], plain[9 + stored:]
        assert not any(padding), "the padding is not zeros"
        if codec == 1:
            content = zstandard.ZstdDecompressor().decompress(content, max_output_size=length)
        assert len(content) == length
        return content

    def file(self, folder, name, kind):
        content = (self.path / folder / name).read_bytes()
        assert hashlib.sha256(content).hexdigest() == name, f"{folder}/{name} is damaged"
        return self.open(kind, b"\0" * 32, content)

    def blob(self, kind, name):
        of, pack, offset, length = self.blobs[name]
        assert of == kind
        with (self.path / "packs" / pack).open("rb") as file:
            file.seek(offset)
            content = self.open(kind, name, file.read(length))
        assert hmac.new(self.name, bytes([kind]) + content, hashlib.sha256).digest() == name
        return content

    def stream(self, stream):
        def items(level, blobs):
            for name, length in blobs:
                if level == 0:
                    content = self.blob(DATA, name)
                    assert len(content) == length
                    yield content
                else:
                    listed = self.blob(LIST, name)
                    yield from items(level - 1, struct.iter_unpack("<32sI", listed))

        content = b"".join(items(stream["levels"], [(bytes.fromhex(name), length) for name, length in stream["blobs"]]))
        assert len(content) == stream["bytes"]
        return content


def merkle_root(leaves):
    """RFC 6962."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    level = [hashlib.sha256(b"\0" + leaf).digest() for leaf in leaves]
    while len(level) > 1:
        pairs = [hashlib.sha256(b"\1" + a + b).digest() for a, b in zip(level[::2], level[1::2])]
        level = pairs + level[len(pairs) * 2:]
    return level[0]


def texts(entry, at, count):
    for _ in range(count):
        length, = struct.unpack_from("<H", entry, at)
        yield entry[at + 2:at + 2 + length].decode()
        at += 2 + length
    yield at


def log_rows(stream):
    at = 0
    while at < len(stream):
        length, = struct.unpack_from("<I", stream, at)
        entry = stream[at + 4:at + 4 + length]
        at += 4 + length
        length, = struct.unpack_from("<I", stream, at)
        yield entry, stream[at + 4:at + 4 + length]
        at += 4 + length


def read_envelope(envelope):
    """Flags, salt, checksum and the record's canonical JSON."""
    flags, salt, checksum = envelope[6], envelope[7:23], envelope[23:55]
    at = 55 + 40 + 8 + 8
    count, = struct.unpack_from("<H", envelope, at)
    at += 2
    for _ in range(count):
        _, length = struct.unpack_from("<HH", envelope, at)
        at += 4 + length
    length, = struct.unpack_from("<I", envelope, at)
    return flags, salt, checksum, envelope[at + 4:at + 4 + length]


def chunks_of(repository, manifest):
    content, at, chunks = repository.stream(manifest["streams"]["content"]), 0, {}
    for number, length, digest in struct.iter_unpack("<QI32s", repository.stream(manifest["streams"]["chunks"])):
        chunks[number] = content[at:at + length]
        assert digest in (blake3.blake3(chunks[number]).digest(), hashlib.sha256(chunks[number]).digest())
        at += length
    assert at == len(content) and len(chunks) == manifest["chunks"]
    return chunks


def write_artifacts(repository, manifest, sizes, to):
    chunks, slots, at = chunks_of(repository, manifest), repository.stream(manifest["streams"]["slots"]), 0
    files = {ino: bytearray(size) for ino, size in sizes.items()}
    seen = set()
    while at < len(slots):
        ino, slot, _, length = struct.unpack_from("<QQQI", slots, at)
        row = slots[at + 28:at + 28 + length]
        at += 28 + length
        if (ino, slot) in seen or ino not in files:
            continue
        seen.add((ino, slot))
        for start, length, chunk, offset, _ in struct.iter_unpack("<IIQI32s", row[1:-4]):
            begin = slot * SLOT_BYTES + start
            files[ino][begin:begin + length] = chunks[chunk][offset:offset + length]
    (to / "artifacts").mkdir(parents=True, exist_ok=True)
    for ino, content in files.items():
        (to / "artifacts" / str(ino)).write_bytes(content[:sizes[ino]])


def main():
    path, passphrase, to = Path(sys.argv[1]), Path(sys.argv[2]).read_text().split("\n")[0].encode(), Path(sys.argv[3])
    repository = Repository(path, passphrase)
    manifests = [json.loads(repository.file("backups", file.name, MANIFEST)) for file in (path / "backups").iterdir()]
    manifest = max(manifests, key=lambda manifest: manifest["generation"])
    leaves, sizes = [], {}
    for entry, envelope in log_rows(repository.stream(manifest["streams"]["log"])):
        leaves.append(entry)
        kind = entry[21]
        *names, at = texts(entry, 22, 4)
        if not envelope:
            continue
        flags, salt, checksum, record = read_envelope(envelope)
        file = to / COLLECTIONS[kind] / f"{names[0]}.json"
        if flags & 2:
            file.unlink(missing_ok=True)
            sizes.pop(int(names[0]), None) if kind == 12 else None
            continue
        assert hashlib.sha256(record).digest() == checksum
        assert hashlib.sha256(salt + checksum).digest() == entry[at:at + 32], "it is not what the log committed to"
        if kind == 12:
            inode = json.loads(record)
            if inode["type"] == "regular":
                sizes[int(names[0])] = inode["size"]
            continue
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(record)
    root = merkle_root(leaves).hex()
    assert root == manifest["root"] and len(leaves) == manifest["sequence"]
    write_artifacts(repository, manifest, sizes, to)
    print(json.dumps({"root": root, "sequence": len(leaves), "vault_id": manifest["vault_id"]}))


if __name__ == "__main__":
    main()
