#!/usr/bin/env python3
"""Restores a backup out of a Holdfast repository of format 1 without Holdfast. See manual-restore.md.

Made from repository-format.md alone. Needs Python 3.9, python3-cryptography, and zstd (the program, or python3-zstandard); holdfast_format.py lies beside it.
The passphrase comes from HOLDFAST_KEY, or is asked for.
"""
import argparse, getpass, json, os, re, sys
from pathlib import Path
from holdfast_format import Damage, Repository, need, sha256

# What recovery demands of a configuration. pg_control holds the same numbers; PostgreSQL says so if one is too small.
RECOVERY_MINIMUMS = ("max_connections", "max_worker_processes", "max_wal_senders", "max_prepared_transactions", "max_locks_per_transaction", "wal_level", "track_commit_timestamp")


def lsn(text):
    high, low = text.split("/")
    return int(high, 16) << 32 | int(low, 16)


def json_lines(data):
    return [json.loads(line) for line in data.decode().split("\n") if line]


class Backup:
    """A backup set and the ancestors its map refers to."""

    def __init__(self, repository, source, name):
        self.repository, self.source, self.chain, self.contents = repository, source, {}, {}
        self.manifest, _, _ = repository.document(f"sources/{source}/manifests/{name}.json", "manifest")
        self.chain[name] = self.manifest
        for ancestor in self.manifest["ancestors"]:
            manifest, digest, _ = repository.document(f"sources/{source}/manifests/{ancestor['id']}.json", "manifest")
            need(digest == ancestor["sha256"], ancestor["id"], "is not the one this backup was made from")
            self.chain[ancestor["id"]] = manifest
        for backup, manifest in self.chain.items():
            key = f"sources/{source}/backups/{backup}/contents"
            contents = repository.read(key)
            need(sha256(contents).hex() == manifest["contents"]["sha256"], key, "does not fit its manifest")
            for line in contents.decode().splitlines()[1:]:
                container, size, root = line.split(" ")
                self.contents[f"sources/{source}/backups/{backup}/{container}"] = (int(size), root)
            repository.map_keys[manifest["mapKey"]["id"]] = manifest["mapKey"]["sealed"]

    def pack(self, backup, kind, number):
        key = f"sources/{self.source}/backups/{backup}/{kind}/{number:08d}"
        container = self.repository.container(key, self.source, kind, key)
        need(self.contents.get(key) == (container.bytes, container.root.hex()), key, "is not what its backup consists of")
        return container

    def entries(self):
        """Every entry of the map; runs as (blocks, where)."""
        root = self.manifest["root"]
        pack = self.pack(self.manifest["id"], "map", root["pack"])
        header, *lines = json_lines(b"".join(pack.frame(root["frame"] + i) for i in range(root["frames"])))
        for line in lines:
            for _, backup, number, frame, _ in [line[kind] for kind in ("chunk", "late") if kind in line]:
                yield from self.chunk(self.pack(header["backups"][backup], "map", number).frame(frame))

    def chunk(self, data):
        header, *lines = json_lines(data)
        for entry in lines:
            segments = entry["path"].removeprefix("//").split("/")
            need(not {"", ".", ".."} & set(segments) and not re.search(r"[\\\0]", entry["path"]), entry["path"], "is no path to write to")
            entry["runs"] = [(run[0], None if len(run) == 1 else (header["backups"][run[1]], *run[2:])) for run in entry.get("runs", [])]
            yield entry

    def write(self, entry, file):
        """The blocks of an entry at their places. What is not written is zero, and the file ends where the entry says."""
        size, at = self.manifest["postgres"]["blockSize"], entry.get("from", 0)
        with open(file, "r+b" if at else "wb") as out:
            for blocks, where in entry["runs"]:
                if where is not None:
                    backup, number, frame, first = where
                    data = self.pack(backup, "data", number).frame(frame)[first * size:(first + blocks) * size]
                    need(len(data) == blocks * size, entry["path"], "an extent is shorter than the map says")
                    os.pwrite(out.fileno(), data, at * size)
                at += blocks
            out.truncate(entry["length"])


class Wal:
    """The WAL from the start of a backup on: along the newest timeline that the backup leads to."""

    def __init__(self, backup):
        postgres = backup.manifest["postgres"]
        own, stop = postgres["timeline"], lsn(backup.manifest["stop"]["lsn"])
        self.repository, self.source, self.size = backup.repository, backup.source, postgres["walSegmentBytes"]
        self.folder, self.start = f"sources/{self.source}/wal/{postgres['systemIdentifier']}", lsn(backup.manifest["start"]["lsn"])
        self.histories = {int(name[:8], 16): self.content(f"history/{name}", "history") for name in self.repository.names(f"{self.folder}/history")}
        timelines = {own, *self.histories, *(int(name, 16) for name in self.repository.names(self.folder) if re.fullmatch("[0-9A-F]{8}", name))}
        self.timeline = max(tli for tli in timelines if any(past == own and (left is None or stop <= left) for past, left in self.spans(tli)))

    def content(self, name, kind):
        key = f"{self.folder}/{name}"
        return self.repository.container(key, self.source, kind, key.rsplit("-", 1)[0]).whole()

    def spans(self, timeline):
        """(timeline, LSN at which it was left) on the way to the end of a timeline, oldest first."""
        lines = [line.split() for line in self.histories.get(timeline, b"").decode().splitlines() if re.match(r"\s*\d", line)]
        return [(int(line[0]), lsn(line[1])) for line in lines] + [(timeline, None)]

    def segment(self, tli, number):
        """Name and content of a segment, or the beginning that is there of an unfinished one."""
        per_log = (1 << 32) // self.size
        name = f"{tli:08X}{number // per_log:08X}{number % per_log:08X}"
        folder, parts = f"{name[:8]}/{name[:16]}", f"{name[:8]}/parts/{name}"
        whole = {self.content(f"{folder}/{entry}", "wal") for entry in self.repository.names(f"{self.folder}/{folder}") if entry.startswith(f"{name}-")}
        need(len(whole) < 2, name, "two servers wrote different WAL under this name: choose by hand which one is right")
        if whole:
            return name, whole.pop()
        filled = b""
        for entry in self.repository.names(f"{self.folder}/{parts}"):
            begin = int(entry.split("-")[0], 16)
            if begin > len(filled):
                break
            data, overlap = self.content(f"{parts}/{entry}", "part"), len(filled) - begin
            need(data[:overlap] == filled[begin:begin + len(data)], name, "its parts contradict each other")
            filled += data[overlap:]
        return name, filled

    def stage(self, folder):
        """Writes history files, and segments as far as they reach without a hole. Returns where they end."""
        for tli, content in self.histories.items():
            (folder / f"{tli:08X}.history").write_bytes(content)
        number, end = self.start // self.size, self.start
        while True:
            # The segment in which a timeline was left is read on the next one: it begins with the same bytes.
            tli = next(tli for tli, left in self.spans(self.timeline) if left is None or left // self.size > number)
            name, data = self.segment(tli, number)
            if data:
                (folder / name).write_bytes(data.ljust(self.size, b"\0"))
                end = number * self.size + len(data)
            if len(data) < self.size:
                return end
            number += 1


def restore(backup, target, moved, immediate):
    need(not target.exists() or not any(target.iterdir()), target, "is not empty")
    (target / "holdfast-wal").mkdir(parents=True)
    wal, places, control, settings = Wal(backup), {}, None, target / "settings.json"
    end = wal.stage(target / "holdfast-wal")
    need(end >= lsn(backup.manifest["stop"]["lsn"]), backup.manifest["id"], "lacks WAL that it needs to become consistent")
    for entry in backup.entries():
        top, path = "/".join(entry["path"].split("/")[:2]), entry["path"]
        place = places[top] / path[len(top) + 1:] if top in places else target / path
        if entry["type"] == "tablespace":
            places[path] = place = Path(moved.get(entry["target"], entry["target"]))
            place.mkdir(parents=True, exist_ok=True)
            need(not any(place.iterdir()), place, "is not empty: --tablespace OLD=NEW puts the tablespace elsewhere")
        elif entry["type"] == "directory":
            place.mkdir(exist_ok=True)
        elif path == "global/pg_control":
            control = entry
        elif path == "//settings.json":
            backup.write(entry, settings)
        elif not path.startswith("//"):
            backup.write(entry, place)
    configure(target, json.loads(settings.read_text()), wal.timeline, immediate)
    if (target / "tablespace_map").exists():
        oids = [line.split(" ")[0] for line in (target / "tablespace_map").read_text().splitlines()]
        (target / "tablespace_map").write_text("".join(f"{oid} {places[f'pg_tblspc/{oid}']}\n" for oid in oids))
    # Last of all: without it PostgreSQL does not start on a folder that is not whole.
    backup.write(control, target / "global/pg_control")
    return wal.timeline, end


def configure(target, captured, timeline, immediate):
    """A configuration that recovers and reaches out to nobody. The source's own files stay beside it as *.source."""
    for name in ("postgresql.conf", "postgresql.auto.conf"):
        if (target / name).exists():
            (target / name).rename(target / f"{name}.source")
    known = {setting["name"]: setting["value"] for setting in captured["settings"]}
    lines = [f"{name} = '{known[name]}'" for name in RECOVERY_MINIMUMS if name in known]
    lines += ["archive_mode = off", "restore_command = 'cp holdfast-wal/%f \"%p\"'", f"recovery_target_timeline = '{timeline}'"]
    lines += ["recovery_target = 'immediate'", "recovery_target_action = 'promote'"] if immediate else []
    (target / "postgresql.conf").write_text("\n".join(lines) + "\n")
    if not (target / "pg_hba.conf").exists():
        (target / "pg_hba.conf").write_text("local all all peer\n")
    for name in ("pg_ident.conf", "recovery.signal"):
        (target / name).touch()


def main():
    options = argparse.ArgumentParser(description="Restores out of a Holdfast repository without Holdfast.")
    options.add_argument("repository")
    options.add_argument("target", nargs="?", help="a new folder; left out: only list the backups")
    options.add_argument("--source")
    options.add_argument("--backup", help="default: the newest")
    options.add_argument("--immediate", action="store_true", help="stop as soon as the backup is consistent")
    options.add_argument("--tablespace", action="append", default=[], metavar="OLD=NEW")
    given = options.parse_args()
    os.umask(0o077)
    repository = Repository(given.repository, os.environ.get("HOLDFAST_KEY") or getpass.getpass("passphrase: "))
    backups = {source: list_backups(repository, source) for source in ([given.source] if given.source else repository.names("sources"))}
    if given.target is None:
        for source, names in backups.items():
            print(*(f"{source} {name}" for name in names), sep="\n")
        return
    need(len(backups) == 1, ", ".join(backups), "choose one with --source")
    [(source, names)] = backups.items()
    need(names, source, "has no backup")
    backup = Backup(repository, source, given.backup or names[-1])
    timeline, end = restore(backup, Path(given.target).resolve(), dict(pair.split("=", 1) for pair in given.tablespace), given.immediate)
    print(f"{backup.manifest['id']} is in {given.target}; its WAL reaches {end >> 32:X}/{end & 0xFFFFFFFF:X} on timeline {timeline}")


def list_backups(repository, source):
    """What has a manifest that is no tombstone, and is not being deleted; oldest first."""
    dying = repository.names(f"sources/{source}/tombstones")
    names = [name for name in repository.names(f"sources/{source}/manifests") if name not in dying]
    return [name[:-5] for name in names if repository.document(f"sources/{source}/manifests/{name}", "manifest", "tombstone")[2] == "manifest"]


if __name__ == "__main__":
    try:
        main()
    except Damage as damage:
        sys.exit(f"error: {damage}")
