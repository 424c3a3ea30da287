"""Reads a Holdfast repository of format 1: age files, signed documents, encrypted containers. Made from repository-format.md alone; used by manual-restore.py beside it.

Nothing is believed that is not signed by a host that the repository's key admitted, and nothing is decrypted whose digest is wrong.
"""
import base64, functools, hashlib, hmac, json, os, subprocess
from pathlib import Path
from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

MAGIC = b"HFOBJ\r\n1"
MOST_PLAIN = {"data": 1 << 20, "map": 4 << 20, "wal": 1 << 20, "part": 1 << 20, "history": 1 << 20}


class Damage(Exception):
    pass


def need(condition, where, what):
    if not condition:
        raise Damage(f"{where}: {what}")


def sha256(data):
    return hashlib.sha256(data).digest()


def hkdf(ikm, salt, info):
    """HKDF-SHA-256 for 32 bytes."""
    return hmac.digest(hmac.digest(salt or bytes(32), ikm, "sha256"), info + b"\x01", "sha256")


def public_bytes(key):
    return key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


def check_signature(public, signature, data, where):
    try:
        public.verify(signature, data)
    except InvalidSignature:
        raise Damage(f"{where}: the signature does not fit the content") from None


# --- age files (age-encryption.org/v1), for one passphrase or one X25519 recipient ---

def unpadded(text):
    return base64.b64decode(text + "=" * (-len(text) % 4))


def identity_bytes(text):
    """The 32 bytes in AGE-SECRET-KEY-1… (Bech32). Its checksum is not looked at: a wrong key opens nothing."""
    bits = 0
    for letter in text.lower().rsplit("1", 1)[1][:-6]:
        bits = bits << 5 | "qpzry9x8gf2tvdw0s3jn54khce6mua7l".index(letter)
    return (bits >> 4).to_bytes(32, "big")


def age_open(data, passphrase=None, identity=None):
    """The content of an age file. Raises if it is not for this passphrase or identity."""
    header, _, rest = data.partition(b"\n---")
    mac, _, payload = rest.partition(b"\n")
    version, stanza, *body = header.decode().split("\n")
    need(version == "age-encryption.org/v1", "age file", "it is not one")
    kind, *arguments = stanza.removeprefix("-> ").split(" ")
    if kind == "scrypt" and passphrase is not None:
        cost = int(arguments[1])
        need(cost <= 22, "age file", "asks for too much work")
        salt = b"age-encryption.org/v1/scrypt" + unpadded(arguments[0])
        wrap = hashlib.scrypt(passphrase.encode(), salt=salt, n=1 << cost, r=8, p=1, maxmem=(1 << cost) * 1024 + (1 << 26), dklen=32)
    else:
        need(kind == "X25519" and identity is not None, "age file", "is for another kind of key")
        private, share = X25519PrivateKey.from_private_bytes(identity), unpadded(arguments[0])
        shared = private.exchange(X25519PublicKey.from_public_bytes(share))
        wrap = hkdf(shared, share + public_bytes(private), b"age-encryption.org/v1/X25519")
    file_key = ChaCha20Poly1305(wrap).decrypt(bytes(12), unpadded("".join(body)), None)
    expected = hmac.digest(hkdf(file_key, b"", b"header"), header + b"\n---", "sha256")
    need(hmac.compare_digest(expected, unpadded(mac.decode().strip())), "age file", "its header was changed")
    stream, chunks, size = ChaCha20Poly1305(hkdf(file_key, payload[:16], b"payload")), payload[16:], 64 * 1024 + 16
    plain = []
    for at in range(0, len(chunks), size):
        last = b"\x01" if at + size >= len(chunks) else b"\x00"
        plain.append(stream.decrypt((at // size).to_bytes(11, "big") + last, chunks[at:at + size], None))
    return b"".join(plain)


class Repository:
    def __init__(self, root, secret):
        self.root, self.signers, self.listed, self.map_keys, self.identities = Path(root), {}, {}, {}, []
        claimed = self.claims("holdfast.json")
        self.id, first = claimed["repositoryId"], claimed["keyId"]
        chain = self.key_chain(first)
        self.open_identities(chain, secret)
        # Only the newest key says who may write. What an older one signed was looked at on the way.
        self.signers = {}
        newest, key = chain[-1]
        self.admit(base64.b64decode(key["admin"]))
        for name in self.names(f"expelled/{newest}"):
            if name.endswith(".json"):
                self.expel(self.document(f"expelled/{newest}/{name}", "expelled")[0])
        for name in self.names(f"hosts/{newest}"):
            if name.removesuffix(".json") not in self.listed:
                self.admit(base64.b64decode(self.document(f"hosts/{newest}/{name}", "host")[0]["publicKey"]))

    def key_chain(self, key_id):
        """(key id, key document) of every key, oldest first: the descriptor names the first, and each signs the one that comes after it."""
        chain, files = [], [("holdfast.json", "repository")]
        while key_id is not None:
            folder, before = f"keys/{key_id}", chain[-1] if chain else None
            key = self.claims(f"{folder}/key.json")
            admin = base64.b64decode(key["admin"])
            need(sha256(b"holdfast/key/v1" + key["recipient"].encode() + admin).hex()[:32] == key_id and len(chain) < 1000, folder, "it is another key")
            need((key["previous"] or {}).get("keyId") == (before and before[0]), folder, "it does not follow the key before it")
            if before:
                old = Ed25519PublicKey.from_public_bytes(base64.b64decode(before[1]["admin"]))
                check_signature(old, base64.b64decode(key["previous"]["signature"]), b"holdfast/rotation/v1\n" + key_id.encode(), folder)
            self.signers = {}
            self.admit(admin)
            for name, kind in [*files, (f"{folder}/key.json", "key")]:
                self.document(name, kind)
            chain.append((key_id, key))
            rotation, files = f"rotations/{key_id}.json", []
            key_id = self.document(rotation, "rotation")[0]["next"] if (self.root / rotation).exists() else None
        return chain

    def read(self, key):
        try:
            return (self.root / key).read_bytes()
        except FileNotFoundError:
            raise Damage(f"{key}: is missing") from None

    def names(self, folder):
        path = self.root / folder
        return sorted(entry.name for entry in path.iterdir() if not entry.name.startswith(".")) if path.is_dir() else []

    def claims(self, key):
        """The payload of a document whose signature cannot be checked yet."""
        return json.loads(base64.b64decode(json.loads(self.read(key))["payload"]))

    def admit(self, public):
        self.signers[sha256(public).hex()] = Ed25519PublicKey.from_public_bytes(public)

    def expel(self, host):
        """Of a host that was expelled, only what its list names is believed."""
        text = self.read(host["list"]["object"])
        need(sha256(text).hex() == host["list"]["sha256"], host["list"]["object"], "it is not the list that the expulsion names")
        public = base64.b64decode(host["publicKey"])
        self.listed[sha256(public).hex()] = dict(line.split(" ") for line in text.decode().splitlines()[1:])
        self.admit(public)

    def believe(self, fingerprint, key, digest):
        need(fingerprint not in self.listed or self.listed[fingerprint].get(key) == digest, key, "signed by a host that was expelled, after it had been")

    def open_identities(self, chain, secret):
        """Of the newest key that the secret opens, and of every key before it, whose identity it holds."""
        given = {"identity": identity_bytes(secret)} if secret.startswith("AGE-SECRET-KEY-") else {"passphrase": secret}
        for key_id, key in reversed(chain):
            if self.identities:
                text = age_open(base64.b64decode(former), identity=self.identities[-1]).decode().strip()
            else:
                text = self.open_envelope(f"keys/{key_id}", given)
            former = key.get("former")
            if text is None:
                continue
            # A file that opens was made by somebody who knows the secret; and what is in it must be this key.
            public = public_bytes(Ed25519PrivateKey.from_private_bytes(hkdf(text.encode(), b"", b"holdfast/admin/v1")))
            need(public == base64.b64decode(key["admin"]), key_id, "the envelope holds another key")
            self.identities.append(identity_bytes(text))
        need(self.identities, "the repository", "the passphrase does not open this repository")

    def open_envelope(self, folder, given):
        for name in self.names(folder):
            if name.endswith(".age"):
                try:
                    return age_open(self.read(f"{folder}/{name}"), **given).decode().strip()
                except (Damage, InvalidTag, ValueError):
                    continue

    def document(self, key, *kinds):
        """Payload, SHA-256 and kind of a document, which must be of one of these kinds."""
        data = self.read(key)
        wire = json.loads(data)
        [signature], payload = wire["signatures"], base64.b64decode(wire["payload"])
        values = (wire["payloadType"], wire["payload"], signature["keyid"], signature["sig"])
        exact = '{"payloadType":%s,"payload":%s,"signatures":[{"keyid":%s,"sig":%s}]}\n' % tuple(map(json.dumps, values))
        need(exact.encode() == data, key, "not in its exact form")
        need(signature["keyid"] in self.signers, key, "signed by a host that is not admitted")
        signed = b"DSSEv1 %d %s %d " % (len(values[0]), values[0].encode(), len(payload)) + payload
        check_signature(self.signers[signature["keyid"]], base64.b64decode(signature["sig"]), signed, key)
        self.believe(signature["keyid"], key, sha256(data).hex())
        kind = values[0].removeprefix("application/vnd.holdfast.").removesuffix("+json")
        need(kind in kinds, key, f"it is a {kind}")
        fields = json.loads(payload)
        need((fields["format"], fields["repositoryId"], fields["object"]) == (1, self.id, key), key, "of another format, repository or place")
        return fields, sha256(data).hex(), kind

    @functools.lru_cache(maxsize=1024)
    def unseal(self, sealed):
        for identity in self.identities:
            try:
                return age_open(base64.b64decode(sealed), identity=identity)
            except InvalidTag:
                continue
        raise Damage("what this backup is sealed to is a newer key than the passphrase opens")

    @functools.lru_cache(maxsize=256)
    def container(self, key, source, kind, bound):
        return Container(self, key, source, kind, bound)


class Container:
    """An object of frames. Its trailer is authentic once it is open; frames are checked against it as they are read."""

    def __init__(self, repository, key, source, kind, bound):
        self.repository, self.key, self.source, self.bound = repository, key, source, bound
        need((repository.root / key).is_file(), key, "is missing")
        self.file = open(repository.root / key, "rb")
        self.bytes = os.fstat(self.file.fileno()).st_size
        tail = self.read(self.bytes - 128, 128)
        need(tail[120:] == MAGIC and self.read(0, 8) == MAGIC, key, "it is no container")
        count, meta_length, self.root = int.from_bytes(tail[0:4], "little"), int.from_bytes(tail[4:8], "little"), tail[8:40]
        start = self.bytes - 128 - meta_length - 44 * count
        table, meta = self.read(start, 44 * count), self.read(start + 44 * count, meta_length)
        need(sha256(MAGIC + tail[0:8] + table + meta) == self.root, key, "the trailer does not fit its digest")
        fingerprint = next((known for known in repository.signers if known.startswith(tail[40:56].hex())), None)
        need(fingerprint is not None, key, "signed by a host that is not admitted")
        repository.believe(fingerprint, key, self.root.hex())
        check_signature(repository.signers[fingerprint], tail[56:120], b"holdfast/container/v1\n" + self.root, key)
        self.meta = json.loads(meta)
        said = [self.meta[name] for name in ("format", "repositoryId", "source", "object", "kind")]
        need(said == [1, repository.id, source, bound, kind], key, "was written as something else")
        self.frames, offset = [], 8
        for at in range(0, 44 * count, 44):
            stored, plain, codec = int.from_bytes(table[at:at + 4], "little"), int.from_bytes(table[at + 4:at + 8], "little"), table[at + 8]
            need(codec in (0, 1) and plain <= MOST_PLAIN[kind], key, "a frame is not plausible")
            self.frames.append((offset, stored, plain, codec, table[at + 12:at + 44]))
            offset += stored
        need(offset == start, key, "its length is not that of its frames")

    def read(self, offset, length):
        data = os.pread(self.file.fileno(), length, offset) if offset >= 0 else b""
        need(len(data) == length, self.key, "is too short")
        return data

    @functools.cached_property
    def cipher(self):
        key = self.meta["key"]
        secret = self.repository.unseal(key["sealed"] if "sealed" in key else self.repository.map_keys[key["mapKey"]])
        salt = base64.b64decode(self.meta["salt"])
        need(hkdf(secret, salt, b"holdfast/commitment/v1") == base64.b64decode(self.meta["commitment"]), self.key, "the key does not fit")
        return AESGCM(hkdf(secret, salt, b"holdfast/frames/v1"))

    @functools.lru_cache(maxsize=64)
    def frame(self, index):
        offset, stored, plain, codec, digest = self.frames[index]
        data = self.read(offset, stored)
        need(sha256(data) == digest, self.key, f"frame {index} does not fit its digest")
        bound = "\n".join(["holdfast/frame/v1", self.repository.id, self.source, self.bound, str(index), str(plain), str(codec)])
        try:
            data = self.cipher.decrypt(bytes(4) + index.to_bytes(8, "big"), data, bound.encode())
        except InvalidTag:
            raise Damage(f"{self.key}: frame {index} is not authentic") from None
        data = unzstd(data, plain) if codec == 1 else data
        need(len(data) == plain, self.key, f"frame {index} has another length than declared")
        return data

    def whole(self):
        return b"".join(self.frame(index) for index in range(len(self.frames)))


def unzstd(data, length):
    try:
        import zstandard
    except ImportError:
        return subprocess.run(["zstd", "-dcq"], input=data, stdout=subprocess.PIPE, check=True).stdout
    plain = b""
    while data:
        # One zstd frame after the other: the library itself stops behind the first.
        frame = zstandard.ZstdDecompressor().decompressobj()
        plain += frame.decompress(data)
        need(frame.eof and len(plain) <= length, "a frame", "does not decompress to what it declares")
        data = frame.unused_data
    return plain
