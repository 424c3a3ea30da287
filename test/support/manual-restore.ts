import { execFile } from "node:child_process";
import { dirname, join } from "node:path";
import { promisify } from "node:util";

/** The restore without Holdfast of docs/manual-restore.md. */
const SCRIPT = join(import.meta.dirname, "../../docs/manual-restore.py");
/** What Debian calls python3 comes first: its packages are what docs/manual-restore.md asks for. */
const PYTHONS = ["/usr/bin/python3", "python3"];
const run = promisify(execFile);

export const MANUAL_RESTORE_NEEDS = "the manual restore needs python3-cryptography, and zstd or python3-zstandard";

/** Runs it on a repository, with a passphrase or an age identity; what it prints. */
export async function manualRestore(python: string, key: string, ...args: string[]): Promise<string> {
  const env = { PATH: process.env["PATH"], HOLDFAST_KEY: key, PYTHONDONTWRITEBYTECODE: "1" };
  return (await run(python, [SCRIPT, ...args], { env })).stdout;
}

/** A Python with what the script imports, and a way to read zstd. */
export async function findPython(): Promise<string | null> {
  for (const python of PYTHONS)
    try {
      await run(python, ["-c", "import cryptography, hashlib, shutil\ntry:\n    import zstandard\nexcept ImportError:\n    assert shutil.which('zstd')"]);
      return python;
    } catch {
      continue; // not this one
    }
  return null;
}

const HIDE = { program: "import sys; sys.modules['zstandard'] = None", library: "import zstandard" } as const;

/** What the script makes of packed bytes, with the program and with the library: with those of them that are here. */
export async function unpackedByScript(python: string, packedFile: string, plainBytes: number): Promise<{ way: string; plain: Buffer }[]> {
  const unpacked: { way: string; plain: Buffer }[] = [];
  for (const [way, first] of Object.entries(HIDE)) {
    const code = `${first}\nimport sys\nsys.path.insert(0, sys.argv[1])\nfrom holdfast_format import unzstd\nsys.stdout.buffer.write(unzstd(open(sys.argv[2], 'rb').read(), int(sys.argv[3])))`;
    try {
      const { stdout } = await run(python, ["-B", "-c", code, dirname(SCRIPT), packedFile, String(plainBytes)], { encoding: "buffer", maxBuffer: 2 * plainBytes });
      unpacked.push({ way, plain: stdout });
    } catch (error) {
      if (!/No module named 'zstandard'|No such file or directory: 'zstd'/.test(String(error))) throw error;
    }
  }
  return unpacked;
}
