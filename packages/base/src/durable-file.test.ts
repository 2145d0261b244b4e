import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import {
  chmodSync,
  chownSync,
  closeSync,
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import {
  checkPrivateFolder,
  privateFileExists,
  readPrivateFile,
  writeDurable,
} from "./durable-file.ts";
import { readExactly } from "./read-exactly.ts";

const root = mkdtempSync(join(tmpdir(), "redoubt-base-"));
let next = 0;
function freshFolder(): string {
  next += 1;
  const folder = join(root, String(next));
  mkdirSync(folder, 0o700);
  return folder;
}
function modeOf(path: string): number {
  return statSync(path).mode & 0o777;
}
const isRoot = process.getuid?.() === 0;

after(() => rmSync(root, { recursive: true }));

describe("writeDurable", () => {
  it("writes text and bytes of any size, mode 0600, and leaves nothing else", () => {
    for (const content of ["", "text", randomBytes(3_000_000)]) {
      const folder = freshFolder();
      writeDurable(join(folder, "file"), content);
      assert.deepEqual(readFileSync(join(folder, "file")), Buffer.from(content));
      assert.equal(modeOf(join(folder, "file")), 0o600);
      assert.deepEqual(readdirSync(folder), ["file"]);
    }
  });

  it("replaces the file as a whole: a reader of the old one keeps it", () => {
    const path = join(freshFolder(), "file");
    writeDurable(path, "old content");
    const before = openSync(path, "r");
    writeDurable(path, "new");
    assert.equal(readFileSync(path, "utf8"), "new");
    assert.equal(readFileSync(before, "utf8"), "old content");
    closeSync(before);
  });

  it("survives what a crash left half written, and leaves the old file on a failure", () => {
    const path = join(freshFolder(), "file");
    writeDurable(path, "old");
    writeFileSync(`${path}.new`, "half a fi");
    writeDurable(path, "new");
    assert.equal(readFileSync(path, "utf8"), "new");
    // A folder in the way of the temporary file stands for any refusal of the system.
    mkdirSync(`${path}.new`);
    assert.throws(() => writeDurable(path, "newer"));
    assert.equal(readFileSync(path, "utf8"), "new");
  });

  it("THREAT-32: takes over neither mode nor target of what stands in its way", () => {
    const folder = freshFolder();
    const [path, victim] = [join(folder, "file"), join(folder, "victim")];
    writeFileSync(victim, "untouched");
    const placed = [
      () => writeFileSync(`${path}.new`, "", { mode: 0o666 }),
      () => symlinkSync(victim, `${path}.new`),
      () => linkSync(victim, `${path}.new`),
      () => symlinkSync(victim, path),
    ];
    for (const place of placed) {
      rmSync(path, { force: true });
      place();
      writeDurable(path, "secret");
      assert.equal(readFileSync(path, "utf8"), "secret");
      assert.equal(modeOf(path), 0o600);
      assert.equal(readFileSync(victim, "utf8"), "untouched");
    }
  });

  it("gives the mode that is asked for", () => {
    const path = join(freshFolder(), "file");
    writeDurable(path, "public", 0o640);
    assert.equal(modeOf(path), 0o640);
  });
});

describe("THREAT-32: readPrivateFile", () => {
  const path = join(freshFolder(), "file");
  writeDurable(path, "secret");

  it("reads a file of ours that is closed to others", () => {
    for (const mode of [0o600, 0o400, 0o700]) {
      chmodSync(path, mode);
      assert.equal(readPrivateFile(path).toString(), "secret");
    }
  });

  for (const mode of [0o640, 0o620, 0o610, 0o604, 0o602, 0o601])
    it(`refuses mode ${mode.toString(8)}`, () => {
      chmodSync(path, mode);
      assert.throws(() => readPrivateFile(path), { code: "ERR_FILE_MODE" });
      chmodSync(path, 0o600);
    });

  it("refuses a link, a folder, a pipe-like thing, and says that nothing is there", async () => {
    const folder = freshFolder();
    symlinkSync(path, join(folder, "link"));
    assert.throws(() => readPrivateFile(join(folder, "link")), { code: "ERR_FILE_KIND" });
    assert.throws(() => readPrivateFile(folder), { code: "ERR_FILE_KIND" });
    assert.throws(() => readPrivateFile("/dev/null"), { code: "ERR_FILE_KIND" });
    assert.throws(() => readPrivateFile(join(folder, "absent")), { code: "ENOENT" });
    const server = createServer();
    await new Promise<void>((resolve) => {
      server.listen(join(folder, "sock"), resolve);
    });
    assert.throws(() => readPrivateFile(join(folder, "sock")), { code: "ENXIO" });
    server.close();
  });

  it("takes a file at the bound and none above it", () => {
    assert.equal(readPrivateFile(path, 6).length, 6);
    assert.throws(() => readPrivateFile(path, 5), { code: "ERR_FILE_SIZE" });
  });

  it("refuses a file that ends while it is read", () => {
    const file = openSync(path, "r");
    assert.equal(readExactly(file, 6, "file").toString(), "secret");
    assert.throws(() => readExactly(file, 7, "file"), { code: "ERR_FILE_SIZE" });
    closeSync(file);
  });

  it("refuses a file and a folder of another user", { skip: !isRoot && "needs root" }, () => {
    const folder = freshFolder();
    const foreign = join(folder, "file");
    writeDurable(foreign, "secret");
    chownSync(foreign, 65_534, 65_534);
    assert.throws(() => readPrivateFile(foreign), { code: "ERR_FILE_OWNER" });
    chownSync(folder, 65_534, 65_534);
    assert.throws(() => checkPrivateFolder(folder), { code: "ERR_FILE_OWNER" });
  });
});

describe("THREAT-32: checkPrivateFolder", () => {
  it("takes a folder of ours that is closed to others", () => {
    const folder = freshFolder();
    checkPrivateFolder(folder);
    checkPrivateFolder(`${folder}/`);
  });

  for (const mode of [0o750, 0o720, 0o710, 0o704, 0o702, 0o701])
    it(`refuses mode ${mode.toString(8)}`, () => {
      const folder = freshFolder();
      chmodSync(folder, mode);
      assert.throws(() => checkPrivateFolder(folder), { code: "ERR_FILE_MODE" });
    });

  it("refuses a link, however its path is spelt, a file, and nothing at all", () => {
    const folder = freshFolder();
    mkdirSync(join(folder, "real"), 0o700);
    symlinkSync("real", join(folder, "link"));
    for (const end of ["", "/", "//", "/.", "/./"])
      assert.throws(() => checkPrivateFolder(`${folder}/link${end}`), { code: "ERR_FILE_KIND" });
    writeDurable(join(folder, "file"), "");
    assert.throws(() => checkPrivateFolder(join(folder, "file")), { code: "ERR_FILE_KIND" });
    assert.throws(() => checkPrivateFolder(join(folder, "absent")), { code: "ENOENT" });
  });
});

describe("privateFileExists", () => {
  it("sees a file and a link to nowhere, and no absent file", () => {
    const folder = freshFolder();
    const path = join(folder, "file");
    assert.equal(privateFileExists(path), false);
    symlinkSync("nowhere", path);
    assert.equal(existsSync(path), false);
    assert.equal(privateFileExists(path), true);
    writeDurable(path, "");
    assert.equal(privateFileExists(path), true);
  });

  it("throws where it cannot know", () => {
    const path = join(freshFolder(), "file");
    writeDurable(path, "");
    // Stands for EACCES, which root never meets.
    assert.throws(() => privateFileExists(`${path}${"x".repeat(5000)}`), { code: "ENAMETOOLONG" });
  });
});
