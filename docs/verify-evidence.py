#!/usr/bin/env python3
"""Checks an evidence bundle of Holdfast without Holdfast. See evidence-bundle.md.

Made from evidence-bundle.md alone. Needs Python 3.9 and the program openssl (1.1.1 or newer), no network and no package.
    verify-evidence.py BUNDLE --key KEYS [--authority PEM] [--second FOLDER] [--known OTHER-BUNDLE] [--every-signature]
Ends with 0: valid, 1: invalid, 3: indeterminate (signed with a key that is not in KEYS, or not to be compared), 2: wrong use.
"""
import argparse, base64, hashlib, json, re, subprocess, sys, tempfile
from datetime import datetime, timezone
from pathlib import Path

STATEMENT = "application/vnd.in-toto+json"
CHECKPOINT = "application/vnd.holdfast.checkpoint+json"
FORMAT = 1


class Wrong(Exception):
    """Something was changed, left out or slipped in."""


class Open(Exception):
    """It cannot be said with these keys and this bundle."""


def need(condition, reason, kind=Wrong):
    if not condition:
        raise kind(reason)


def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def compact(value):
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


class Envelope:
    """A DSSE envelope in its exact form; None from `read` for a line that is none."""

    def __init__(self, line, wire):
        (signature,) = wire["signatures"]
        self.line, self.type, self.signer = line, wire["payloadType"], signature["keyid"]
        self.payload, self.signature = base64.b64decode(wire["payload"], validate=True), base64.b64decode(signature["sig"], validate=True)

    @classmethod
    def read(cls, line):
        try:
            wire = json.loads(line)
            envelope = cls(line, wire)
            b64 = lambda data: base64.b64encode(data).decode()
            exact = {"payloadType": envelope.type, "payload": b64(envelope.payload), "signatures": [{"keyid": envelope.signer, "sig": b64(envelope.signature)}]}
            return envelope if compact(exact) + b"\n" == line else None
        except (ValueError, KeyError, TypeError):
            return None

    def said(self):
        try:
            value = json.loads(self.payload)
        except ValueError:
            value = None
        need(isinstance(value, dict), "what it says is not a JSON object")
        return value


class Keys:
    """Public keys by fingerprint: SHA-256, in hex, of the raw 32 bytes."""

    PREFIX = bytes.fromhex("302a300506032b6570032100")  # RFC 8410: what stands before a raw Ed25519 key

    def __init__(self, file, scratch):
        lines = [line for line in Path(file).read_text().splitlines() if line.strip() and not line.startswith("#")]
        if not lines or any(not re.match(r"[A-Za-z0-9+/]{43}=(\s|$)", line) for line in lines):
            print(f"{file} does not hold public keys: a key a line, 44 characters of base64", file=sys.stderr)
            sys.exit(2)
        self.scratch, self.known = Path(scratch), {}
        for raw in (base64.b64decode(line[:44]) for line in lines):
            name = sha256(raw).hex()
            self.known[name] = self.scratch / f"{name}.der"
            self.known[name].write_bytes(self.PREFIX + raw)

    def check(self, envelope):
        """That the envelope was signed by whom it names."""
        need(envelope.signer in self.known, f"signed by {envelope.signer[:16]}…, whose public key is not among those given", Open)
        message, signature = self.scratch / "message", self.scratch / "signature"
        kind = envelope.type.encode()
        message.write_bytes(b"DSSEv1 %d %s %d " % (len(kind), kind, len(envelope.payload)) + envelope.payload)
        signature.write_bytes(envelope.signature)
        key = ["-pubin", "-keyform", "DER", "-inkey", self.known[envelope.signer]]
        done = subprocess.run(["openssl", "pkeyutl", "-verify", *key, "-rawin", "-in", message, "-sigfile", signature], capture_output=True)
        need(done.returncode == 0, "the signature does not fit the content")


# Merkle trees, RFC 9162 section 2.1. What is hashed into a leaf is the SHA-256 of an entry.
def node(left, right):
    return sha256(b"\x01", left, right)


def up(at, last):
    while not at & 1 and at:
        at, last = at >> 1, last >> 1
    return at, last


def is_included(digest, index, size, root, proof):
    at, last, value = index, size - 1, sha256(b"\x00", digest)
    for beside in proof:
        if last == 0:
            return False
        if at & 1 or at == last:
            value = node(beside, value)
            at, last = up(at, last)
        else:
            value = node(value, beside)
        at, last = at >> 1, last >> 1
    return last == 0 and value == root


def is_consistent(size, root, new_size, new_root, proof):
    if not 1 <= size <= new_size:
        return False
    if size == new_size:
        return not proof and root == new_root
    path = [root, *proof] if size & (size - 1) == 0 else list(proof)
    if not path:
        return False
    at, last = size - 1, new_size - 1
    while at & 1:
        at, last = at >> 1, last >> 1
    old = new = path[0]
    for beside in path[1:]:
        if last == 0:
            return False
        if at & 1 or at == last:
            old, new = node(beside, old), node(beside, new)
            at, last = up(at, last)
        else:
            new = node(new, beside)
        at, last = at >> 1, last >> 1
    return last == 0 and old == root and new == new_root


class Clock:
    """Of one log: the time of its last stamp, and the latest that the entries since then say."""

    def __init__(self):
        self.not_before = self.latest = 0
        self.where = ""


class Authority:
    """Time stamps of RFC 3161, by openssl. `certificates`: PEM of who vouches for the authority; None: stamps are read, and not believed."""

    TOLERANCE = 600  # seconds that the clock of a host may be off

    def __init__(self, certificates, scratch):
        self.certificates, self.scratch = certificates, Path(scratch)

    def check(self, stamp, content):
        """Seconds since 1970 that the stamp says, which is of this content; and believed, if there are certificates."""
        answer, data = self.scratch / "answer.tsr", self.scratch / "stamped"
        answer.write_bytes(stamp)
        data.write_bytes(content)
        said = subprocess.run(["openssl", "ts", "-reply", "-in", answer, "-text"], capture_output=True, text=True).stdout
        time = re.search(r"^Time stamp: (\w+ +\d+ \d\d:\d\d:\d\d)(\.\d+)? (\d{4}) GMT$", said, re.M)
        dump = re.search(r"^Message data:\n((?:    .*\n)+)", said, re.M)
        need(time and dump and "Hash Algorithm: sha256" in said, "it is not a well-formed time stamp")
        digest = "".join(re.sub(r"^ *[0-9a-f]+ - ", "", line)[:47] for line in dump[1].splitlines())
        need(bytes.fromhex(digest.replace("-", " ")) == sha256(content), "the time stamp is of another content than the checkpoint beside it")
        at = datetime.strptime(f"{time[1]} {time[3]}", "%b %d %H:%M:%S %Y").replace(tzinfo=timezone.utc).timestamp()
        if self.certificates:
            # As at its time: the certificate of the authority may have ended since.
            believe = ["-CAfile", self.certificates, "-attime", str(int(at)), "-partial_chain"]
            done = subprocess.run(["openssl", "ts", "-verify", "-in", answer, "-data", data, *believe], capture_output=True)
            need(done.returncode == 0, "the time stamp is not of an authority that the certificates vouch for")
        return at + float(time[2] or 0)


def seconds(text):
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


class Bundle:
    def __init__(self, file, keys, authority, second, every_signature):
        self.file, self.keys, self.authority, self.second, self.every = file, keys, authority, second, every_signature
        self.stamps, self.clocks = [], {}
        self.wrong, self.open = [], []
        self.runs, self.inclusions, self.consistencies, self.checkpoints, self.files = [], {}, [], [], {}
        self.number = self.entries = 0
        self.in_run = False
        content, held = hashlib.sha256(), None
        with open(file, "rb") as lines:
            for line in lines:
                if held is not None:
                    content.update(held)
                    self.found(f"line {self.number + 1}", self.take, held)
                held = line
        self.statement = None
        self.found("the last line", self.end, held, content.hexdigest())
        if self.statement:
            self.judge()

    def found(self, where, act, *arguments):
        """What is wrong is collected, and the rest is looked at all the same."""
        try:
            return act(*arguments)
        except Open as reason:
            self.open.append(str(reason))
        except Wrong as reason:
            self.wrong.append(f"{where}: {reason}")
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            self.wrong.append(f"{where}: it is not as the format says ({error!r})")

    def take(self, line):
        self.number += 1
        envelope = Envelope.read(line)
        if envelope is None:
            self.in_run = False
            return self.own(json.loads(line))
        if envelope.type == STATEMENT:
            return self.entry(envelope)
        self.in_run = False
        need(envelope.type == CHECKPOINT, f"unknown type {envelope.type}")
        self.checkpoints.append((self.number, envelope))

    def own(self, value):
        (kind, what), = [(key, value[key]) for key in value if key != "format"]
        if self.number == 1 or kind == "holdfast":
            return need(self.number == 1 and value == {"holdfast": "evidence-bundle", "format": FORMAT}, "not the head of a bundle of this format")
        if kind == "run":
            self.runs.append({"writer": what["writer"], "first": what["first"], "last": what["first"] - 1, "digest": None, "end": None})
            self.in_run = True
        elif kind == "inclusion":
            self.inclusions[what["writer"], what["sequence"]] = [bytes.fromhex(each) for each in what["proof"]]
        elif kind == "consistency":
            self.consistencies.append(what)
        elif kind == "file":
            self.files[what["name"]] = base64.b64decode(what["base64"], validate=True)
        else:
            raise Wrong("it is not a line of a bundle")

    def entry(self, envelope):
        need(self.in_run, "an entry that stands in no run")
        run = self.runs[-1]
        before, sequence = run["digest"], run["last"] + 1
        run["last"], run["digest"], run["end"] = sequence, sha256(envelope.line).hex(), envelope
        self.entries += 1
        there = self.second.get(run["writer"])
        if there and there["sequence"] == sequence:
            there["seen"] = True
            need(run["digest"] == there["digest"], "another entry lies in its place in the second place: the log was written anew")
        statement = envelope.said()
        predicate = statement["predicate"]
        need(statement["predicateType"] == "urn:holdfast:evidence:v1", "it is not an entry of evidence")
        need((predicate["writer"], predicate["sequence"]) == (run["writer"], sequence) and envelope.signer == run["writer"], f"it was written as entry {predicate['sequence']} of {predicate['writer'][:16]}")
        need((sequence > 1 and before is None) or predicate["previous"] == before, "it does not follow the entry before it")
        if self.every:
            self.keys.check(envelope)
        self.tell_time(f"entry {sequence} of {run['writer'][:16]}", predicate)

    def tell_time(self, where, entry):
        """Between two stamps entries are written after the first and before the second, whatever their host says."""
        clock, says = self.clocks.setdefault(entry["writer"], Clock()), seconds(entry["at"])
        if says < clock.not_before - Authority.TOLERANCE:
            self.open.append(f"{where}: its host says {entry['at']}, but it was written after the time stamp before it")
        if says > clock.latest:
            clock.latest, clock.where = says, where
        if entry["kind"] != "evidence.stamped":
            return
        checkpoint, stamp = (base64.b64decode(entry["facts"][name], validate=True) for name in ("checkpoint", "stamp"))
        envelope = Envelope.read(checkpoint)
        need(envelope is not None and envelope.type == CHECKPOINT, "it does not hold a checkpoint with a time stamp")
        said = envelope.said()
        own = said["head"]
        need(envelope.signer == own["writer"] == entry["writer"], "the checkpoint in it is of another writer")
        need(own["sequence"] < entry["sequence"], "it is over what was written after it")
        at = self.authority.check(stamp, checkpoint)
        need(abs(at - seconds(entry["facts"]["at"])) < 0.001, "the time stamp says another time than the entry")
        if self.authority.certificates:
            need(at >= clock.not_before, "the time stamp is older than one before it")
            if clock.latest > at + Authority.TOLERANCE:
                self.open.append(f"{clock.where}: by the time stamp behind it it was there before the time that its host says")
            clock.not_before, clock.latest = at, 0
        self.stamps.append((where, envelope, at))

    def end(self, line, content):
        envelope = Envelope.read(line or b"")
        need(envelope is not None and envelope.type == STATEMENT, "it is not the statement that a bundle ends with: the end is missing, or was changed")
        statement = envelope.said()
        need(statement["predicateType"] == "urn:holdfast:evidence-bundle:v1", "it is not the statement that a bundle ends with")
        self.statement = statement["predicate"]
        self.logs = {state["writer"]: state for state in self.statement["writers"]}
        self.found("the last line", lambda: need(statement["subject"][0]["digest"]["sha256"] == content, "it was signed over another content than what is before it"))
        self.keys.check(envelope)

    def judge(self):
        for run in self.runs:
            where = f"entry {run['last']} of {run['writer'][:16]}"
            self.found(where, self.judge_run, run)
        for number, envelope in self.checkpoints:
            self.found(f"the checkpoint in line {number}", self.judge_checkpoint, envelope)
        for where, envelope, _ in self.stamps:
            self.found(f"{where}: what is stamped", self.judge_stamped, envelope)
        for writer, state in self.logs.items():
            own = [run for run in self.runs if run["writer"] == writer]
            if any(later["first"] <= run["last"] for run, later in zip(own, own[1:])):
                self.wrong.append(f"the entries of {writer[:16]}: they are not in their order, or are there twice")
            everything = not any(self.statement["selection"].values())
            if everything and [(run["first"], run["last"]) for run in own] != [(1, state["size"])]:
                self.wrong.append(f"the log of {writer[:16]}: it has {state['size']} entries, and not all of them are here")
        for writer, there in self.second.items():
            self.found(f"entry {there['sequence']} of {writer[:16]}", self.judge_second, writer, there)
        if self.files:
            self.found("the report", self.judge_report)

    def judge_run(self, run):
        """The signature of the last entry and the chain of digests before it hold the whole run: whoever signed the last one had all of them before him."""
        need(run["digest"] is not None, "there are no entries in the run")
        self.judge_head(run["writer"], run["last"], run["digest"])
        self.keys.check(run["end"])

    def judge_head(self, writer, sequence, digest):
        state = self.logs.get(writer)
        need(state is not None, "the bundle says nothing of the log of its writer")
        need(sequence <= state["size"], f"the log of its writer ends before entry {sequence}, with {state['size']}: its end is missing")
        need((writer, sequence) in self.inclusions, f"the proof that entry {sequence} is in the log is missing")
        need(sequence < state["size"] or digest == state["head"], "the log ends with another content")
        proof = self.inclusions[writer, sequence]
        need(is_included(bytes.fromhex(digest), sequence - 1, state["size"], bytes.fromhex(state["root"]), proof), f"entry {sequence} is not in the log that was signed")

    def judge_checkpoint(self, envelope):
        said = envelope.said()
        need(envelope.signer == said["head"]["writer"], "it was not signed by the writer that it is of")
        for head in [said["head"], *said["heads"]]:
            self.judge_head(head["writer"], head["sequence"], head["sha256"])
        self.keys.check(envelope)

    def judge_stamped(self, envelope):
        """The checkpoint may be of another repository, where logs of others were further."""
        said = envelope.said()
        for head in [said["head"], *said["heads"]]:
            if head["writer"] == envelope.signer or head["sequence"] <= self.logs.get(head["writer"], {"size": 0})["size"]:
                self.judge_head(head["writer"], head["sequence"], head["sha256"])
        self.keys.check(envelope)

    def judge_second(self, writer, there):
        """What came to a second place as it happened has to be here. What its host did not sign says nothing."""
        envelope = Envelope.read(there["line"])
        need(envelope is not None and envelope.signer == writer, "what lies in the second place is no entry of its host", Open)
        try:
            self.keys.check(envelope)
        except Wrong:
            raise Open("what lies in the second place is not signed by its host")
        size = self.logs.get(writer, {"size": 0})["size"]
        need(there["sequence"] <= size, f"it lies in the second place, and the log here ends with {size}: its end was cut off")
        need(there["seen"], "it is the last in the second place, and not in this part of the log: export the whole of it", Open)

    def judge_report(self):
        envelope = Envelope.read(self.files.pop("report.dsse.json", b""))
        need(envelope is not None, "its signature is missing")
        statement = envelope.said()
        need(statement["predicateType"] == "urn:holdfast:report:v1", "it is signed, but not a report")
        signed = {subject["name"]: subject["digest"]["sha256"] for subject in statement["subject"]}
        need(signed == {name: sha256(data).hex() for name, data in self.files.items()}, "its files are not those that were signed")
        self.keys.check(envelope)

    def compare(self, known):
        """A bundle older than what is known is a replay; a newer one must contain all of it, unchanged."""
        need(known["repositoryId"] == self.statement["repositoryId"], "it is of another repository")
        for past in known["writers"]:
            self.found(f"the log of {past['writer'][:16]}", self.compare_log, past, known["exportedAt"])

    def compare_log(self, past, known_at):
        writer, size = past["writer"], past["size"]
        state = self.logs.get(writer)
        need(state is not None, "it is no longer there")
        need(state["size"] >= size, f"it had {size} entries on {known_at}, and here it has {state['size']}: this bundle is older, or its end was cut off")
        proofs = [bytes.fromhex(each) for line in self.consistencies if (line["writer"], line["size"]) == (writer, size) for each in line["proof"]]
        need(proofs or state["size"] == size, f"the proof that the log of {writer[:16]} only grew is not in the bundle", Open)
        need(is_consistent(size, bytes.fromhex(past["root"]), state["size"], bytes.fromhex(state["root"]), proofs), "what was known of it is not the beginning of what is here")


def last_entries(folder):
    """Of each host the last entry in a folder that evidence is sent to."""
    found = {}
    for writer in (path for path in (Path(folder) / "evidence").iterdir() if re.fullmatch(r"[0-9a-f]{64}", path.name)):
        names = sorted(path for path in writer.iterdir() if re.fullmatch(r"\d{12}\.json", path.name))
        if names:
            line = names[-1].read_bytes()
            found[writer.name] = {"sequence": int(names[-1].stem), "line": line, "digest": sha256(line).hex(), "seen": False}
    return found


def last_statement(file, keys):
    last = b""
    with open(file, "rb") as lines:
        for line in lines:
            last = line
    envelope = Envelope.read(last)
    need(envelope is not None, "it is no bundle")
    keys.check(envelope)
    return envelope.said()["predicate"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle")
    parser.add_argument("--key", required=True, help="public keys, as 'holdfast evidence key' prints them; not from where the bundle comes from")
    parser.add_argument("--authority", help="certificates (PEM) that vouch for the time-stamp authority; not from where the bundle comes from")
    parser.add_argument("--second", help="a folder that evidence is sent to: is everything here that came there?")
    parser.add_argument("--known", help="another bundle of these logs")
    parser.add_argument("--every-signature", action="store_true", help="have openssl check each entry, not only the last of each run")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        keys = Keys(options.key, scratch)
        bundle = Bundle(options.bundle, keys, Authority(options.authority, scratch), last_entries(options.second) if options.second else {}, options.every_signature)
        if options.known and bundle.statement:
            bundle.found(options.known, lambda: bundle.compare(last_statement(options.known, keys)))
    for kind, reasons in (("invalid", bundle.wrong), ("open", bundle.open)):
        for reason in list(dict.fromkeys(reasons))[:100]:
            print(f"{kind}: {reason}")
    verdict = "invalid" if bundle.wrong else "indeterminate" if bundle.open else "valid"
    print(f"{verdict}: {bundle.entries} entries" + (f", exported {bundle.statement['exportedAt']}" if bundle.statement else ""))
    if not bundle.stamps:
        print("no time stamp: when it was, the clock of the host alone says")
    elif not options.authority:
        print(f"{len(bundle.stamps)} time stamps, checked against nothing: name the certificates of their authority with --authority")
    else:
        for head, at in {envelope.signer: (envelope.said()["head"], at) for _, envelope, at in bundle.stamps}.values():
            print(f"proved: entry {head['sequence']} of {head['writer'][:16]}, and all before it, was there at {datetime.fromtimestamp(at, timezone.utc).isoformat()}")
    return {"valid": 0, "invalid": 1, "indeterminate": 3}[verdict]


if __name__ == "__main__":
    sys.exit(main())
