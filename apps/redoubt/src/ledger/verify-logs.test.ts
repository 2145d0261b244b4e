import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { EXIT } from "../command.ts";
import { openTerminal } from "../terminal.ts";
import { PublishedLog } from "./testing/published-log.ts";
import { ledgerVerify } from "./verify-logs.ts";

/** Runs the command on a copy of these files. */
async function verify(log: PublishedLog, vkey: readonly string[], json = false) {
  const folder = mkdtempSync(join(tmpdir(), "verify-"));
  try {
    for (const [path, bytes] of log.files) {
      mkdirSync(dirname(join(folder, path)), { recursive: true });
      writeFileSync(join(folder, path), bytes);
    }
    let text = "";
    const terminal = openTerminal(json, { out: (more) => (text += more), err: () => undefined });
    const questions = { input: process.stdin, output: process.stderr };
    const context = { folder: "", typedIn: folder, json, terminal, questions };
    return { code: await ledgerVerify(context, { dir: ".", vkey }), text };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const nowSeconds = (): number => Math.floor(Date.now() / 1000);

test("THREAT-06: a log without a verified cosignature says so in its row, in JSON, and by exit code 4", async () => {
  const log = new PublishedLog(300);
  const { key, writer, witness } = log;
  const own = [key.text, writer.text];
  const bare = await verify(log, own);
  assert.equal(bare.code, 4);
  assert.match(bare.text, / {2}not cosigned {2}/);
  assert.doesNotMatch(bare.text, /verified/);
  assert.match(
    (await verify(log, own, true)).text,
    /"cosignedSeconds":null,"label":"not cosigned"/,
  );
  log.cosign(nowSeconds());
  const unknown = await verify(log, own);
  assert.equal(unknown.code, EXIT.uncosigned, "a witness whose key is not known proves nothing");
  const full = await verify(log, [...own, witness.text]);
  assert.equal(full.code, EXIT.ok);
  assert.match(full.text, / {2}verified {2}/);
});

test("without any key nothing but consistency is known: exit code 4", async () => {
  const log = new PublishedLog(300);
  log.cosign(nowSeconds());
  const { code, text } = await verify(log, []);
  assert.equal(code, EXIT.uncosigned);
  assert.match(text, /consistency only/);
});

test("a fault outweighs a missing cosignature, and so does a named witness that did not sign", async () => {
  const log = new PublishedLog(300);
  const { key, writer, witness } = log;
  assert.equal((await verify(log, [key.text, writer.text, witness.text])).code, EXIT.refused);
  log.cosign(nowSeconds() + 3600);
  const ahead = await verify(log, [key.text, writer.text, witness.text]);
  assert.equal(ahead.code, EXIT.refused);
  assert.match(ahead.text, /REFUSED ERR_LOG_SIGNATURE: Cosignature of .* is dated ahead/);
});
