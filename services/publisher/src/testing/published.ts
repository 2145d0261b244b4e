import { hash } from "node:crypto";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import {
  CompactRange,
  ed25519Signer,
  encodeCheckpoint,
  encodeEntryBundle,
  entryBundlePath,
  signNote,
  tilePath,
  TILE_WIDTH,
} from "@redoubt/tlog";
import { identity } from "./deployment.ts";

const ORIGIN = "test.example/issuance/enterprise";
const LEVELS = [0, 8, 16] as const;

/** One log as the ledger publishes it, of as many entries as a test asks for. */
export class PublishedFolder {
  readonly id: string = hash("sha256", ORIGIN).slice(0, 16);
  readonly folder: string;
  readonly #published: string;
  readonly #key = identity(ORIGIN);
  readonly #writer = identity(`${ORIGIN}/writer`);

  constructor(published: string) {
    this.#published = published;
    this.folder = join(published, this.id);
    const vkeys = [this.#key.text, this.#writer.text];
    this.writeList({ origin: ORIGIN, id: this.id, vkeys });
  }

  writeList(log: object): void {
    writeFileSync(join(this.#published, "logs.json"), JSON.stringify({ logs: [log] }));
  }

  /** Everything that a log of this size has; partial files of smaller ones go when the full one stands. */
  write(size: number): string[] {
    const entries = Array.from({ length: size }, (_, i) => {
      const entry = Buffer.alloc(65, 1);
      entry.writeUInt32BE(i, 1);
      return entry;
    });
    const range = CompactRange.empty();
    const hashes: Buffer[][] = [];
    range.appendEntries(entries, (level, _, node) => (hashes[level] ??= []).push(node));
    const files = LEVELS.flatMap((level, tileLevel) =>
      pages(hashes[level] ?? []).map((page, index): [string, Buffer] => [
        tilePath(tileLevel, index, page.length),
        Buffer.concat(page),
      ]),
    );
    for (const [index, page] of pages(entries).entries())
      files.push([entryBundlePath(index, page.length), encodeEntryBundle(page)]);
    for (const [path, bytes] of files) this.#put(path, bytes);
    const body = encodeCheckpoint({ origin: ORIGIN, size, root: range.root() });
    const signers = [this.#key, this.#writer].map(({ vkey, privateKey }) =>
      ed25519Signer(vkey.name, privateKey),
    );
    this.#put("checkpoint", Buffer.from(signNote(body, signers)));
    return files.map(([path]) => path);
  }

  #put(path: string, bytes: Buffer): void {
    mkdirSync(dirname(join(this.folder, path)), { recursive: true });
    writeFileSync(join(this.folder, path), bytes);
    rmSync(join(this.folder, `${path}.p`), { recursive: true, force: true });
  }
}

function pages(items: readonly Buffer[]): Buffer[][] {
  return Array.from({ length: Math.ceil(items.length / TILE_WIDTH) }, (_, i) =>
    items.slice(i * TILE_WIDTH, (i + 1) * TILE_WIDTH),
  );
}
