import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createHash, generateKeyPairSync, randomUUID, sign } from "node:crypto";
import { chmodSync, cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { MemberReader } from "@redoubt/base";
import { hashLeaf, parseVerifierKey, verifyProofFile } from "@redoubt/tlog";
import { isJsonObject, parseJson, parseJsonObject, type JsonValue } from "@redoubt/verify/json";
import { RedoubtProcess } from "./redoubt-process.ts";
import { redoubt, startSystem, type Ending, type System } from "./system.ts";
import { SETTLE_MS, until } from "./until.ts";

/** The one JSON line of a command. */
function json(ending: Ending): MemberReader {
  return new MemberReader(parseJsonObject(ending.stdout, { maxDepth: 16 }), "answer");
}

function list(ending: Ending): MemberReader[] {
  const value = parseJson(ending.stdout, { maxDepth: 16 });
  assert.ok(Array.isArray(value));
  return readers(value);
}

function readers(values: readonly JsonValue[]): MemberReader[] {
  return values.map((value) => new MemberReader(isJsonObject(value) ? value : {}, "item"));
}

function fails(ending: Ending, code: number, pattern: RegExp): void {
  assert.equal(ending.code, code, ending.stderr);
  assert.match(ending.stderr, pattern);
  assert.match(ending.stderr, /^redoubt: [^\n]+\n$/);
}

describe("the commands, on a running system", () => {
  let system: System;
  let files: string;
  before(async () => {
    files = mkdtempSync(join(tmpdir(), "redoubt-cli-"));
    system = await startSystem();
  });
  after(async () => {
    await system[Symbol.asyncDispose]();
    rmSync(files, { recursive: true, force: true });
  });

  const run = async (args: readonly string[], input?: string) => system.redoubt(args, input);
  const ok = async (args: readonly string[], input?: string): Promise<Ending> => {
    const ending = await run(args, input);
    assert.equal(ending.code, 0, `${args.join(" ")}: ${ending.stderr}${ending.stdout}`);
    return ending;
  };
  const token = async (...args: readonly string[]) => (await ok(["token", ...args])).stdout.trim();

  it("status: healthy, every process ready, labelled as what it is", async () => {
    const text = await ok(["status"]);
    assert.match(text.stdout, /: healthy\n/);
    const status = json(await ok(["--json", "status"]));
    assert.equal(status.boolean("healthy"), true);
    assert.equal(status.integer("port", 0, 65_535), system.base);
    const processes = readers(status.array("processes", 16));
    assert.equal(processes.length, 8);
    for (const process of processes) assert.equal(process.boolean("ready"), true);
    const labels = status.strings("labels", 64);
    for (const label of [
      "custody: plain-file",
      "isolation: none",
      "roots: demo",
      "witness: same-machine",
    ])
      assert.ok(labels.includes(label), label);
  });

  it("token: the token alone, or the whole answer", async () => {
    const alone = (await ok(["token"])).stdout;
    assert.match(alone, /^[\w-]+\.[\w-]+\.[\w-]+\n$/);
    const answer = json(await ok(["token", "--json", "--scope", "orders.read"]));
    assert.match(answer.string("access_token", 4096), /^[\w-]+\.[\w-]+\.[\w-]+$/);
    assert.equal(answer.integer("expires_in", 1, 3600), 3600);
    assert.equal(answer.string("scope"), "orders.read");
    fails(await run(["token", "--scope", "admin"]), 1, /Issuer refused: invalid_scope/);
    fails(await run(["token", "--resource", "api://other"]), 1, /Issuer refused: invalid_target/);
  });

  it("verify: valid tokens exit 0 with their claims, reported and acknowledged", async () => {
    for (const realm of ["consumer", "enterprise"]) {
      const text = await token("--realm", realm);
      const verdict = json(await ok(["--json", "verify", "--realm", realm, "--report"], text));
      assert.equal(verdict.boolean("valid"), true);
      assert.equal(verdict.boolean("reported"), true);
      assert.equal(verdict.object("claims").string("client_id"), `demo-${realm}`);
      assert.equal(verdict.object("key").string("realm"), realm);
    }
    // What was reported was issued: nothing is open, also after the monitor looked.
    assert.deepEqual(json(await ok(["--json", "alarms", "--all"])).array("alarms", 10), []);
  });

  it("coverage tokens: what was issued and seen; a tap, as the guide makes it, shows what was not", async () => {
    const [seen, unseen] = [await token("--realm", "enterprise"), await token()];
    await ok(["verify", "--realm", "enterprise", "--report"], seen);
    const guide = readFileSync(new URL("../../docs/guide/coverage.md", import.meta.url), "utf8");
    const command = guide.split("\n").find((line) => line.startsWith("printf "));
    assert.ok(command);
    const digestIn = (text: string): string =>
      execFileSync("bash", ["-c", command], { env: { ...process.env, TOKEN: text.trim() } })
        .toString("utf8")
        .trim();
    const stranger = Buffer.alloc(32, 7).toString("base64url");
    const tap = join(tmpdir(), `tap-${randomUUID()}.ndjson`);
    const used = [seen, unseen].map(digestIn);
    writeFileSync(tap, `${used.join("\n")}\n{"digest":"${stranger}","status":200}\n`);
    try {
      const answer = await until(
        "both tokens known to the monitor",
        () => run(["--json", "coverage", "tokens", "--hours", "1", "--tap", tap]),
        (one) => json(one).object("tap").integer("unknown", 0, 9) === 1,
      );
      assert.equal(answer.code, 2);
      const told = json(answer);
      const found = told.object("tap");
      assert.deepEqual(found.strings("unknownDigests", 5), [stranger]);
      const [row] = readers(found.array("rows", 5));
      assert.deepEqual(
        [row?.string("realm"), row?.integer("used", 0, 9), row?.integer("seen", 0, 9)],
        ["enterprise", 2, 1],
      );
      const rows = readers(told.array("tokens", 50)).filter(
        (one) => one.string("realm") === "enterprise",
      );
      // All of the realm, and the demo tenant's audience.
      const named = rows.filter((one) => !one.isNull("audience"));
      const sums = [rows, named].map((some) =>
        some.slice(0, 1).map((one) => [one.integer("issued", 2, 999), one.integer("seen", 1, 999)]),
      );
      assert.deepEqual(sums[0], sums[1]);
      const verifications = readers(told.array("verifications", 50));
      assert.ok(
        verifications.some(
          (one) => one.string("reporter") === "demo-api" && one.integer("accepted", 0, 999) > 0,
        ),
      );
      assert.match((await run(["coverage", "tokens"])).stdout, /VALIDATED[^]*lower bound/);
    } finally {
      rmSync(tap);
    }
  });

  it("verify: what is refused exits 3, with the code", async () => {
    const text = await token();
    const consumer = await token("--realm", "consumer");
    const cases: readonly (readonly [string, readonly string[], string])[] = [
      [text, ["--audience", "api://other"], "ERR_JWT_CLAIM_VALIDATION_FAILED"],
      [consumer, [], "ERR_JWKS_NO_MATCHING_KEY"],
      [`${text.slice(0, -4)}AAAA`, [], "ERR_JWS_SIGNATURE_VERIFICATION_FAILED"],
      ["not a token", [], "ERR_JWS_INVALID"],
    ];
    for (const [input, args, code] of cases) {
      const ending = await run(["--json", "verify", ...args, input]);
      assert.equal(ending.code, 3, code);
      assert.equal(json(ending).string("code"), code);
    }
    assert.match((await run(["verify", "a.b.c"])).stdout, /^REFUSED ERR_[A-Z_]+: [^\n]+\n$/);
    // A tenant without an issuer here: no keys can be loaded, so that nothing can be decided.
    fails(await run(["verify", "--tenant", randomUUID(), text]), 1, /answered 404, expected 200/);
    fails(await run(["verify"], ""), 1, /No token/);
  });

  it("tenants and clients: registered, repeated, refused, suspended", async () => {
    const added = json(await ok(["--json", "tenants", "add", "--audience", "api://orders"]));
    const tenant = added.string("tenant");
    assert.equal(added.boolean("created"), true);
    const again = ["--json", "tenants", "add", "--tenant", tenant, "--audience", "api://orders"];
    assert.equal(json(await ok(again)).boolean("changed"), false);

    const add = [
      "--json",
      "clients",
      "add",
      "--tenant",
      tenant,
      "--client",
      "billing",
      "--scope",
      "r",
    ];
    const secret = json(await ok(add)).string("secret");
    const known = json(await ok(add));
    assert.equal(known.boolean("changed"), false);
    assert.equal(known.has("secret"), false);
    const named = ["--tenant", tenant, "--client", "billing", "--secret", secret];
    const text = await token(...named);
    await ok(["verify", "--audience", "api://orders", "--tenant", tenant], text);
    // A scope is added without another secret.
    await ok(["clients", "add", ...named.slice(0, 4), "--scope", "w"]);
    const both = await token(...named);
    const rotate = ["--json", "clients", "rotate", "billing", "--tenant", tenant];
    const next = json(await ok(rotate)).string("secret");
    const renewed = [...named.slice(0, 5), next];
    for (const one of [both, await token(...named), await token(...renewed)])
      await ok(["verify", "--audience", "api://orders", "--tenant", tenant], one);
    const shown = json(await ok(["--json", "clients", "show", "billing", "--tenant", tenant]));
    assert.equal(shown.array("credentials", 8).length, 2);
    const newest = json(await ok([...rotate, "--overlap", "0"])).string("secret");
    for (const gone of [named, renewed])
      fails(await run(["token", ...gone]), 1, /Issuer refused: invalid_client/);
    named.splice(5, 1, newest);
    fails(
      await run(["clients", "rotate", "billing", "--tenant", tenant, "--overlap", "a day"]),
      1,
      /P7D/,
    );
    fails(await run(["token", ...named.slice(0, 5), "wrong"]), 1, /Issuer refused: invalid_client/);

    const clients = list(await ok(["--json", "clients", "list"])).map((c) => c.string("client"));
    assert.deepEqual(clients.toSorted(), [
      "billing",
      "demo-consumer",
      "demo-enterprise",
      "try",
      "try",
    ]);
    await ok(["tenants", "set-status", tenant, "suspended"]);
    fails(await run(["token", ...named]), 1, /Issuer refused: unauthorized_client/);
    const tenants = list(await ok(["--json", "tenants", "list"]));
    const states = tenants.map((t) => `${t.string("tenant") === tenant} ${t.string("status")}`);
    assert.deepEqual(states.toSorted(), ["false active", "false active", "true suspended"]);
    await ok(["tenants", "set-status", tenant, "active"]);
    await token(...named);
    await ok(["clients", "disable", "billing", "--tenant", tenant]);
    fails(await run(["token", ...named]), 1, /Issuer refused: unauthorized_client/);
    await ok(["clients", "enable", "billing", "--tenant", tenant]);
    await token(...named);
    await ok(["clients", "remove", "billing", "--tenant", tenant]);
    fails(await run(["token", ...named]), 1, /Issuer refused: invalid_client/);
    fails(await run(["clients", "show", "billing", "--tenant", tenant]), 1, /not registered/);
  });

  it("tenants and clients: what the registry would not take is refused in one line, and not appended", async () => {
    // What is published follows the witness: how large the log is says the ledger.
    const size = async () => registrySize(await ok(["--json", "status"]));
    const sizeBefore = await size();
    const [demo] = list(await ok(["--json", "tenants", "list"])).filter(
      (t) => t.string("realm") === "enterprise",
    );
    const tenant = demo?.string("tenant") ?? "";
    const consumer = "9188040d-6c67-4c5b-b112-36a304b66dad";
    const cases: readonly (readonly [readonly string[], RegExp])[] = [
      [
        ["tenants", "add", "--tenant", consumer, "--audience", "api://x"],
        /cannot be of realm enterprise/,
      ],
      [["tenants", "add", "--realm", "consumer", "--tenant", tenant, "--audience", "a"], /realm/],
      [["tenants", "add", "--audience", "demo-enterprise"], /is a client id/],
      [["tenants", "add", "--audience", "urn:redoubt:drill"], /drill audience/],
      [["tenants", "add", "--audience", "two words"], /without spaces/],
      [["tenants", "add"], /--audience/],
      [["tenants", "set-status", randomUUID(), "suspended"], /not registered/],
      [["clients", "add", "--tenant", tenant, "--client", "api://x"], /RFC 6749/],
      [
        ["clients", "add", "--tenant", tenant, "--client", "c", "--audience", "api://x"],
        /not one of the tenant/,
      ],
      [["clients", "add", "--client", "c"], /--tenant/],
      [["clients", "disable", "nobody", "--tenant", tenant], /not registered/],
    ];
    for (const [args, pattern] of cases) fails(await run(args), 1, pattern);
    assert.equal(await size(), sizeBefore);
  });

  it("clients: keys in place of a secret", async () => {
    const { publicKey, privateKey } = generateKeyPairSync("ed25519");
    const jwk = { ...publicKey.export({ format: "jwk" }), kid: "k1", alg: "Ed25519" };
    const tenant = json(
      await ok(["--json", "tenants", "add", "--audience", "api://robots"]),
    ).string("tenant");
    const add = (jwks: object) => {
      const path = join(files, "robot.jwks");
      writeFileSync(path, JSON.stringify(jwks));
      return run([
        "--json",
        "clients",
        "add",
        "--tenant",
        tenant,
        "--client",
        "robot",
        "--jwks",
        path,
      ]);
    };
    const secret = privateKey.export({ format: "jwk" });
    fails(await add({ keys: [{ ...secret, kid: "k1", alg: "Ed25519" }] }), 1, /public members/);
    fails(await add({ keys: [] }), 1, /public keys only/);
    const added = json(await add({ keys: [jwk] }));
    assert.equal(added.array("credentials", 8).length, 1);
    assert.equal(added.has("secret"), false);
    const issuer = `http://127.0.0.1:${system.base}/${tenant}/v2.0`;
    const now = Math.floor(Date.now() / 1000);
    const claims = { iss: "robot", sub: "robot", aud: issuer, exp: now + 60, jti: randomUUID() };
    const [head, body] = [{ alg: "Ed25519", kid: "k1" }, claims].map((part) =>
      Buffer.from(JSON.stringify(part)).toString("base64url"),
    );
    const signature = sign(null, Buffer.from(`${head}.${body}`), privateKey).toString("base64url");
    const response = await fetch(added.string("tokenEndpoint"), {
      method: "POST",
      body: new URLSearchParams({
        grant_type: "client_credentials",
        client_assertion_type: "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        client_assertion: `${head}.${body}.${signature}`,
      }),
    });
    const answer = new MemberReader(parseJsonObject(await response.text()), "answer");
    assert.equal(response.status, 200);
    await ok(
      ["verify", "--audience", "api://robots", "--tenant", tenant],
      answer.string("access_token", 4096),
    );
  });

  it("keys list: one key that signs and one standby in each ring, and what becomes of them", async () => {
    const keys = list(await ok(["--json", "keys", "list"]));
    const states = keys
      .map((key) => `${key.string("realm")} ${key.string("class")} ${key.string("state")}`)
      .toSorted();
    assert.deepEqual(states, [
      "consumer at active",
      "consumer at prepublished",
      "consumer oidc active",
      "consumer oidc prepublished",
      "enterprise at active",
      "enterprise at prepublished",
      "enterprise oidc active",
      "enterprise oidc prepublished",
    ]);
    for (const key of keys) {
      assert.equal(key.string("signer"), key.string("state"));
      assert.equal(key.string("custody"), "plain-file");
      const next = key.string("state") === "active" ? "verify-only" : "active";
      assert.equal(key.object("next").string("state"), next);
    }
    assert.match((await ok(["keys"])).stdout, /verify-only in 7 d +ES256 +plain-file/);
  });

  it("ledger verify: every log, by the keys of the system", async () => {
    await token();
    await token("--realm", "consumer");
    const answer = json(await ok(["--json", "ledger", "verify"]));
    assert.deepEqual(answer.array("faults", 10), []);
    const logs = readers(answer.array("logs", 10));
    assert.equal(logs.length, 3);
    const witness = parseVerifierKey(witnessKey(system.folder)).name;
    for (const log of logs) {
      assert.equal(log.string("label"), "verified");
      assert.ok(log.integer("cosignedSeconds", 0, Number.MAX_SAFE_INTEGER) > 0);
      assert.equal(log.array("signedBy", 10).at(-1), witness);
    }
    const one = json(await ok(["--json", "ledger", "verify", "--log", "redoubt.local/registry"]));
    assert.equal(one.array("logs", 10).length, 1);
    fails(
      await run(["ledger", "verify", "--log", "nowhere/registry"]),
      1,
      /No such log is published/,
    );
  });

  it("ledger verify --dir: a copy by itself; one changed byte exits 3, no known witness 4", async () => {
    const copy = join(files, "published");
    cpSync(join(system.folder, "ledger", "published"), copy, { recursive: true });
    const vkeys = publishedKeys(copy);
    const all = [...vkeys.values()].flat().flatMap((key) => ["--vkey", key]);
    const verify = async (...args: readonly string[]) =>
      await run(["ledger", "verify", "--dir", copy, ...args]);
    const keyless = await verify();
    assert.deepEqual([keyless.code, keyless.stdout.match(/consistency only/g)?.length], [4, 3]);
    const unwitnessed = await verify(...all);
    assert.deepEqual([unwitnessed.code, unwitnessed.stdout.match(/not cosigned/g)?.length], [4, 3]);
    const vkey = ["--vkey", witnessKey(system.folder)];
    const cosigned = await ok(["ledger", "verify", "--dir", copy, ...all, ...vkey]);
    assert.equal(cosigned.stdout.match(/ {2}verified {2}/g)?.length, 3);
    const [id] = [...vkeys.keys()];
    const tile = join(copy, id ?? "", "checkpoint");
    const note = readFileSync(tile, "utf8");
    // The root is the third line.
    const spoilt = note.split("\n").with(2, Buffer.alloc(32, 1).toString("base64")).join("\n");
    writeFileSync(tile, spoilt);
    for (const args of [[], all]) {
      const ending = await run(["ledger", "verify", "--dir", copy, ...args]);
      assert.equal(ending.code, 3);
      assert.match(ending.stdout, /REFUSED ERR_(LOG_ROOT|TLOG_NOTE_SIGNATURE)/);
    }
    fails(await run(["ledger", "verify", "--dir", files]), 1, /No published log|checkpoint/);
    fails(await run(["ledger", "verify", "--dir", copy, "--vkey", "k"]), 1, /verifier key/);
  });

  it("ledger prove: a proof that verifies offline, by published keys alone", async () => {
    const text = await token();
    const digest = createHash("sha256")
      .update(text.slice(0, text.lastIndexOf(".")))
      .digest();
    const proven = json(await ok(["--json", "ledger", "prove", text]));
    assert.equal(proven.string("digest"), digest.toString("base64url"));
    assert.equal(proven.boolean("cosigned"), true);
    const file = (await ok(["ledger", "prove", digest.toString("base64url")])).stdout;
    const origin = proven.string("log");
    const entry = Buffer.from(proven.string("entry"), "base64url");
    assert.deepEqual(entry.subarray(1, 33), digest);
    const keys = [...publishedKeys(join(system.folder, "ledger", "published")).values()].flat();
    const verifiers = keys.map(parseVerifierKey).filter(({ name }) => name.startsWith(origin));
    assert.equal(verifiers.length, 2);
    const { index } = verifyProofFile(file, { leafHash: hashLeaf(entry), origin, verifiers });
    assert.equal(index, proven.integer("index", 0, 1000));
  });

  it("ledger prove: a token that nobody issued is in no log", async () => {
    const ending = await run(["ledger", "prove", "aGVhZA.Ym9keQ.c2ln"]);
    assert.equal(ending.code, 3);
    assert.match(ending.stdout, /^REFUSED ERR_LOG_MISSING: .*nobody issued this token\n$/);
    fails(await run(["ledger", "prove", "nonsense"]), 1, /Name a digest/);
  });

  it("THREAT-35: ledger show: who got a token, by digest and by jti; each reading is an entry", async () => {
    const issued = (await run(["token"])).stdout.trim();
    const payload = parseJsonObject(Buffer.from(issued.split(".")[1] ?? "", "base64url"));
    const jti = payload["jti"];
    assert.ok(typeof jti === "string");
    const size = async () => {
      const logs = readers(json(await run(["--json", "status"])).array("logs", 16));
      const registry = logs.find((log) => log.string("log").endsWith("/registry"));
      return registry?.integer("size", 0, 10_000) ?? assert.fail();
    };
    const known = await size();
    const shown = await run(["ledger", "show", issued, "--reason", "ticket 4711"]);
    assert.equal(shown.code, 0, shown.stderr);
    assert.match(shown.stdout, /^client +demo-enterprise\n.*realm enterprise/);
    assert.match(shown.stdout, new RegExp(`jti +${jti}`));
    const byJti = await run(["--json", "ledger", "show", jti, "--reason", "ticket 4712"]);
    assert.equal(byJti.code, 0, byJti.stderr);
    const found = json(byJti);
    const body = found.object("body");
    assert.equal(body.string("jti"), jti);
    assert.equal(body.string("client"), "demo-enterprise");
    assert.equal(body.integer("iat", 0, 2 ** 40), payload["iat"]);
    assert.match(found.string("proof", 20_000), /^c2sp.org\/tlog-proof@v1/);
    assert.equal((await size()) - known, 2);
    const told = readers(json(await run(["--json", "alarms"])).array("alarms", 100)).filter(
      (alarm) => alarm.string("kind") === "body-read",
    );
    assert.equal(told.length, 2);
    // What nobody issued is no reading.
    const none = await run(["ledger", "show", "aGVhZA.Ym9keQ.c2ln", "--reason", "ticket 4713"]);
    assert.deepEqual([none.code, (await size()) - known], [3, 2]);
    const other = await run(["ledger", "show", "j".repeat(22), "--reason", "ticket 4714"]);
    assert.equal(other.code, 3);
    assert.match(other.stdout, /ERR_LOG_MISSING: No body of realm enterprise/);
    assert.match((await run(["ledger", "show", issued])).stderr, /required option '--reason/);
  });

  it("alarms and status: a forgery needs attention until somebody closes it by its digest", async () => {
    assert.equal((await run(["drill", "storm-0558"])).code, 0);
    const answer = await run(["--json", "alarms"]);
    assert.equal(answer.code, 2);
    const [forged] = readers(json(answer).array("alarms", 100)).filter(
      (a) => a.string("kind") === "forged",
    );
    assert.ok(forged);
    const digest = forged.string("digest");
    const id = String(forged.integer("id", 1, 1000));
    assert.equal((await run(["status"])).code, 2);
    const one = json(await run(["--json", "alarms", "--digest", digest]));
    assert.equal(one.array("alarms", 10).length, 1);
    fails(await run(["alarms", "close", id, "--reason", "drill"]), 1, /must name the digest/);
    const wrong = digest.replace(/^./, digest.startsWith("A") ? "B" : "A");
    fails(await run(["alarms", "close", id, "--digest", wrong, "--reason", "drill"]), 1, /digest/);
    await ok(["alarms", "close", id, "--digest", digest, "--reason", "drill"]);
    fails(
      await run(["alarms", "close", id, "--digest", digest, "--reason", "drill"]),
      1,
      /No such open/,
    );
    await ok(["alarms"]);
    await ok(["status"]);
    assert.match((await ok(["alarms", "--all"])).stdout, /critical \(closed\) +forged/);
  });

  it("alarms --follow: each alarm is one JSON line", async () => {
    const follow = new RedoubtProcess(["--data", system.folder, "--json", "alarms", "--follow"]);
    try {
      const line = await follow.line((text) => text.includes('"kind":"forged"'), SETTLE_MS);
      assert.equal(
        new MemberReader(parseJsonObject(line ?? "{}"), "alarm").string("severity"),
        "critical",
      );
    } finally {
      follow.kill("SIGTERM");
      await follow.ended;
    }
  });

  it("a process that is killed comes back, and status says so meanwhile", async () => {
    const pid = await system.pidOf("publisher");
    process.kill(pid, "SIGKILL");
    const during = await run(["--json", "status"]);
    assert.ok(during.code === 0 || during.code === 2);
    const publisher = async () => {
      const status = json(await run(["--json", "status"]));
      const found = readers(status.array("processes", 16)).find(
        (p) => p.string("service") === "publisher",
      );
      return { isReady: found?.boolean("ready"), restarts: found?.integer("restarts", 0, 100) };
    };
    const back = await until("the publisher is back", publisher, (p) => p.isReady === true);
    assert.equal(back.restarts, 1);
    await ok(["verify"], await token());
  });

  it("THREAT-32: a data folder that others may enter is refused before a secret is read", async () => {
    for (const [inner, ...args] of [
      ["", "status"],
      ["up", "token"],
      ["up", "verify", "a.b.c"],
      ["ledger/s/operator", "tenants", "list"],
    ] as const) {
      chmodSync(join(system.folder, inner), 0o755);
      try {
        fails(await run(args), 1, /is open to others: make it mode 0700/);
      } finally {
        chmodSync(join(system.folder, inner), 0o700);
      }
    }
  });

  it("an error is one line for a person, and JSON as well for a program", async () => {
    const ending = await run(["--json", "token", "--tenant", "contoso"]);
    fails(ending, 1, /lower-case UUID/);
    assert.equal(json(ending).string("error"), "ERR_OPTION");
  });
});

describe("the commands, where nothing runs", () => {
  const COMMANDS = [
    ["status"],
    ["token"],
    ["verify", "a.b.c"],
    ["tenants", "list"],
    ["clients", "list"],
    ["reporters", "list"],
    ["recover", "secrets", "--yes"],
    ["keys", "list"],
    ["ledger", "verify"],
    ["ledger", "prove", "A".repeat(43)],
    ["alarms"],
  ];
  for (const args of COMMANDS)
    it(`${args.slice(0, 2).join(" ")}: one line that says how to start it`, async () => {
      const folder = join(tmpdir(), `redoubt-none-${randomUUID()}`);
      const ending = await redoubt(["--data", folder, ...args]);
      fails(ending, 1, /^redoubt: Redoubt is not running on \S+: start it with npm start\n$/);
      assert.equal(ending.stdout, "");
    });
});

function registrySize(ending: Ending): number {
  const logs = readers(json(ending).array("logs", 10));
  const registry = logs.find((log) => log.string("log") === "redoubt.local/registry");
  assert.ok(registry);
  return registry.integer("size", 1, 10_000);
}

/** The witness's verifier key, as the data folder has it. */
function witnessKey(folder: string): string {
  const { witness } = parseJsonObject(readFileSync(join(folder, "up", "settings.json")));
  assert.ok(typeof witness === "string");
  return witness;
}

/** The verifier keys that `logs.json` of a published folder names, by log id. */
function publishedKeys(folder: string): ReadonlyMap<string, readonly string[]> {
  const reader = new MemberReader(parseJsonObject(readFileSync(join(folder, "logs.json"))), "logs");
  return new Map(
    readers(reader.array("logs", 10)).map(
      (log) => [log.string("id"), log.strings("vkeys", 4)] as const,
    ),
  );
}
