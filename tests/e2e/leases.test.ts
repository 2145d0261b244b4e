import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import {
  copyFileSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmdirSync,
  rmSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { parseConfig as parseBrokerConfig } from "@redoubt/broker";
import { type AttestationTrust, verifyAttestation } from "@redoubt/lease/attestation";
import { parseVerifierKey } from "@redoubt/tlog";
import { createVerifier, fromDiscovery } from "@redoubt/verify";
import { isJsonObject, type JsonObject, parseJson, parseJsonObject } from "@redoubt/verify/json";
import { freeBasePort } from "./free-ports.ts";
import { RedoubtProcess } from "./redoubt-process.ts";
import { redoubt, startSystem, type System } from "./system.ts";
import { until } from "./until.ts";

describe("redoubt leases enable, on a system that had its keys already", () => {
  const root = mkdtempSync(join(tmpdir(), "redoubt-leases-"));
  let data = join(root, "data");
  let port = 0;
  let system: System;

  async function kids(): Promise<readonly string[]> {
    const { stdout } = await redoubt(["--json", "--data", data, "keys", "list"]);
    return [...stdout.matchAll(/"kid":"([\w-]{43})"/g)].map(([, kid = ""]) => kid).toSorted();
  }

  before(async () => {
    port = await freeBasePort();
  });
  after(async () => {
    await system[Symbol.asyncDispose]();
    rmSync(root, { recursive: true, force: true });
  });

  it("a crash half way leaves a system that starts once the command has finished the work", async () => {
    let known: readonly string[];
    {
      await using plain = await startSystem({ folder: data, port });
      known = await kids();
      const refused = await plain.redoubt(["leases", "enable"]);
      assert.notEqual(refused.code, 0);
    }
    const blocked = join(data, "up", "settings.json.new");
    mkdirSync(blocked);
    assert.equal((await redoubt(["--data", data, "leases", "enable"])).code, 1);
    rmdirSync(blocked);
    const { code, stdout, stderr } = await redoubt(["--json", "--data", data, "leases", "enable"]);
    assert.equal(code, 0, stderr);
    assert.deepEqual(parseJsonObject(stdout), {
      log: "redoubt.local/broker",
      realms: ["consumer", "enterprise"],
      attester: "soft",
      hardware: "none",
    });
    assert.deepEqual(readdirSync(join(data, "signer-consumer", "custody")), []);
    assert.ok(existsSync(join(data, "custody-consumer", "keys", "passphrase")));
    system = await startSystem({ folder: data, port });
    assert.ok(known.length > 0);
    const now = await kids();
    assert.deepEqual(
      known.filter((kid) => !now.includes(kid)),
      [],
      "the same keys go on",
    );
  });

  it("P5: tokens are issued with leases, each of which stands in the broker's log, and nobody alarms", async () => {
    for (const realm of ["consumer", "enterprise"]) {
      const { code, stderr } = await system.redoubt(["token", "--realm", realm]);
      assert.equal(code, 0, stderr);
    }
    const status = await system.status();
    for (const service of ["broker", "custody-consumer", "custody-enterprise"])
      assert.equal(typeof status[service]?.["pid"], "number", service);
    await until(
      "the broker's log is cosigned",
      async () => (await system.redoubt(["--json", "status"])).stdout,
      (shown) => /"redoubt\.local\/broker","size":\d+,"cosigned":\{"size":[1-9]/.test(shown),
    );
    const { stdout } = await system.redoubt(["--json", "alarms", "list"]);
    assert.deepEqual(parseJson(stdout), { alarms: [], openCritical: 0 });
    const { stdout: shown } = await system.redoubt(["--json", "status"]);
    assert.match(shown, /"hardware: none"/);
    const verified = await system.redoubt(["--json", "ledger", "verify"]);
    assert.equal(verified.code, 0, verified.stdout);
    const { logs } = parseJsonObject(verified.stdout);
    assert.ok(Array.isArray(logs));
    const broker = logs.find(
      ({ origin }: { origin?: unknown }) => origin === "redoubt.local/broker",
    );
    assert.ok(typeof broker === "object" && broker !== null && "label" in broker);
    assert.equal(broker.label, "verified");
    const check = await system.redoubt(["--json", "recover", "check"]);
    assert.equal(check.code, 0, check.stdout);
    assert.match(check.stdout, /"log":"redoubt\.local\/broker","ok":true/);
    const unknown = await system.redoubt(["--json", "attest", "verify", "k".repeat(43)]);
    assert.equal(unknown.code, 1);
    assert.match(unknown.stdout + unknown.stderr, /ERR_ATTEST_KEY.*no such key/);
  });

  it("P5: each JWKS names its keys' attestations, and who has the system's trust verifies them offline", async () => {
    for (const { realm, issuer } of system.announcement.issuers) {
      const keys = await until(
        `every key of ${realm} has its attestation`,
        () => keysOf(issuer),
        (shown) => shown.length > 0 && shown.every((key) => "x-attestation" in key),
      );
      for (const { kid, "x-attestation": attestation } of keys) {
        assert.ok(typeof kid === "string");
        const uri = `${new URL(issuer).origin}/.well-known/attestation/${kid}.json`;
        assert.deepEqual(attestation, { uri, hardware: "none" });
        const answer = await fetch(uri);
        assert.equal(answer.headers.get("content-type"), "application/json");
        const document = Buffer.from(await answer.arrayBuffer());
        const asked = { kid, realm };
        const { lease, claims } = verifyAttestation(document, asked, trustOf(data, realm));
        assert.deepEqual([lease.hardware, claims["platform"]], [false, "soft"]);
        const other = realm === "consumer" ? "enterprise" : "consumer";
        assert.throws(
          () => verifyAttestation(document, { ...asked, realm: other }, trustOf(data, realm)),
          { code: "ERR_ATTESTATION_KEY" },
        );
      }
    }
    const { stdout } = await system.redoubt(["--json", "alarms", "list"]);
    assert.deepEqual(parseJson(stdout), { alarms: [], openCritical: 0 });
  });

  it("redoubt attest show and verify take a key by its kid, and say what vouches for it", async () => {
    const { issuer = "" } = system.announcement.issuers[0] ?? {};
    const [first] = await keysOf(issuer);
    const kid = first?.["kid"];
    assert.ok(typeof kid === "string");
    const shown = await system.redoubt(["--json", "attest", "show", kid]);
    assert.equal(shown.code, 0, shown.stderr);
    assert.ok(shown.stdout.includes(kid));
    const { code, stdout, stderr } = await system.redoubt(["--json", "attest", "verify", kid]);
    assert.equal(code, 0, stderr + stdout);
    const { valid, hardware } = parseJsonObject(stdout);
    assert.deepEqual({ valid, hardware }, { valid: true, hardware: "none" });
  });

  it("P5: a service that requires attested keys takes their tokens, and no others", async () => {
    const { realm = "", issuer = "" } = system.announcement.issuers[0] ?? {};
    const { stdout } = await system.redoubt(["--json", "token", "--realm", realm]);
    const { access_token: token } = parseJsonObject(stdout);
    assert.ok(typeof token === "string");
    const ring = ringOf(data, realm);
    const verifierWith = (trust: AttestationTrust) =>
      createVerifier({
        trust: fromDiscovery({
          issuers: [{ issuer, realm, ring }],
          allowLoopbackHttp: true,
          attestation: {
            mode: "require",
            check: (key, document) => void verifyAttestation(document, key, trust),
          },
        }),
        audience: `api://demo-${realm}`,
        accept: [{ issuer, realm, tenants: "any" }],
        issuance: "off",
      });
    const trust = trustOf(data, realm);
    await using verifier = await verifierWith(trust);
    assert.equal(verifier.verify(token).key.realm, realm);
    await assert.rejects(
      verifierWith({ ...trust, policy: String(trust.policy).replace('"soft"', '"snp"') }),
      { code: "ERR_ATTESTATION_REFUSED", message: /ERR_EVIDENCE_REFUSED/ },
    );
  });

  it("the broker's end stops nothing while leases last, and it comes back", async () => {
    const ended = await system.pidOf("broker");
    process.kill(ended, "SIGKILL");
    const { code, stderr } = await system.redoubt(["token"]);
    assert.equal(code, 0, stderr);
    await until(
      "the broker is back",
      async () => (await system.status())["broker"]?.["pid"],
      (pid) => typeof pid === "number" && pid !== ended,
    );
  });

  it("a gateway's end is made up for: the signer begins a new session with the lease it has", async () => {
    process.kill(await system.pidOf("custody-enterprise"), "SIGKILL");
    await until(
      "a token is issued",
      () => system.redoubt(["token"]),
      ({ code }) => code === 0,
    );
  });

  it("docs/guide/backup.md: a copy of all parts, put elsewhere, goes on with the same keys and leases", async () => {
    const [copy, restored] = [join(root, "copy"), join(root, "restored")];
    const made = await system.redoubt(["--json", "backup", copy]);
    assert.equal(made.code, 0, made.stderr);
    for (const file of ["broker/writer.key", "broker/state.json", ...GATEWAY_FILES])
      assert.equal(lstatSync(join(copy, file)).mode & 0o077, 0, file);
    const known = await kids();
    await system.stop();
    data = restored;
    execFileSync("cp", ["-a", copy, restored]);
    await goesOn(restored);
    // These parts alone remember less than the others.
    for (const part of ["broker", "custody-consumer", "custody-enterprise"]) {
      rmSync(join(restored, part), { recursive: true });
      execFileSync("cp", ["-a", join(copy, part), join(restored, part)]);
    }
    await goesOn(restored, async () => {
      assert.deepEqual(await kids(), known);
      const args = ["recover", "log", "--realm", "enterprise", "--reason", "rehearsal", "--yes"];
      const closed = await redoubt(["--json", "--data", restored, ...args]);
      assert.equal(closed.code, 0, closed.stdout);
      await settle(restored);
      const { stdout } = await redoubt(["--json", "--data", restored, "status"]);
      assert.match(stdout, /"hardware: none"/, "the signer that was started anew has a lease");
    });
  });
});

async function keysOf(issuer: string): Promise<readonly JsonObject[]> {
  const { keys } = parseJsonObject(await (await fetch(`${issuer}/keys`)).text());
  return Array.isArray(keys) ? keys.filter(isJsonObject) : [];
}

/** What an operator would hand to those who rely on this system's keys. */
function trustOf(folder: string, realm: string): AttestationTrust {
  const read = (...names: string[]) => readFileSync(join(folder, ...names));
  const { log, release, enrolled } = parseBrokerConfig(read("broker", "config.json"));
  const { broker } = parseJsonObject(read("up", "settings.json"));
  assert.ok(isJsonObject(broker) && typeof broker["writer"] === "string");
  return {
    log: { ...log, writerKey: parseVerifierKey(broker["writer"]) },
    policy: read("broker", "policies", `${realm}.json`),
    release,
    enrolledKeys: new Map(enrolled.map(({ akName, platform }) => [akName, platform])),
  };
}

function ringOf(folder: string, realm: string): string {
  const settings: unknown = JSON.parse(readFileSync(join(folder, "up", "settings.json"), "utf8"));
  return String(Object(settings).realms[realm].ring);
}

const GATEWAY_FILES = ["consumer", "enterprise"].flatMap((realm) =>
  ["config.json", "state.json", "keys/passphrase"].map((file) => `custody-${realm}/${file}`),
);

/** Starts it, does what `recover` names, and gets tokens. */
async function goesOn(folder: string, also = async (): Promise<void> => undefined): Promise<void> {
  const supervisor = new RedoubtProcess(["--data", folder, "up"], { isTied: true });
  try {
    await settle(folder);
    await also();
  } finally {
    supervisor.kill("SIGINT");
    await supervisor.ended;
  }
}

async function settle(folder: string): Promise<void> {
  const run = (args: readonly string[]) => redoubt(["--json", "--data", folder, ...args]);
  await until(
    "recover says what is to do: nothing, or to move the witness",
    () => run(["recover"]),
    ({ code, stdout }) => code === 0 || (code === 2 && stdout.includes("recover witness")),
  );
  const moved = await run(["recover", "witness", "--reason", "all parts restored", "--yes"]);
  assert.equal(moved.code, 0, moved.stdout);
  for (const realm of ["consumer", "enterprise"])
    await until(
      "a token is issued",
      () => run(["token", "--realm", realm]),
      ({ code }) => code === 0,
    );
  await until(
    "every log can go on",
    () => run(["recover"]),
    ({ code, stdout }) => code === 0 && stdout.includes('"log":"redoubt.local/broker","ok":true'),
  );
  await until(
    "every log is verified",
    () => run(["ledger", "verify"]),
    ({ code }) => code === 0,
  );
  const { stdout } = await run(["alarms", "list"]);
  for (const kind of ["forged", "fork", "undelivered", "log-cut", "orphan-used"])
    assert.ok(!stdout.includes(`"${kind}"`), stdout);
}

describe("a new system, as init makes it", () => {
  const root = mkdtempSync(join(tmpdir(), "redoubt-init-leases-"));
  const data = join(root, "data");
  const ledger = join(data, "ledger", "ledger.db");
  let port = 0;
  const run = (args: readonly string[]) => redoubt(["--json", "--data", data, ...args]);
  after(() => rmSync(root, { recursive: true, force: true }));

  it("needs a lease for its keys, from the first token on", async () => {
    port = await freeBasePort();
    const made = await run(["init", "--port", String(port)]);
    assert.equal(made.code, 0, made.stderr);
    assert.equal(parseJsonObject(made.stdout)["leases"], true);
    await using leased = await startSystem({ folder: data, port });
    const { code, stderr } = await leased.redoubt(["token"]);
    assert.equal(code, 0, stderr);
    assert.equal(typeof (await leased.status())["custody-consumer"]?.["pid"], "number");
  });

  it("an old ledger.db that lost leases: recover log --broker, and tokens are issued again", async () => {
    copyFileSync(ledger, join(root, "old.db"));
    {
      // No token and no statement: what grows is the broker's log alone.
      await using leased = await startSystem({ folder: data, port });
      await until(
        "new leases are cosigned",
        async () => parseJson((await leased.redoubt(["--json", "recover"])).stdout),
        (found) => Array.isArray(found) && found.every((one) => Object(one).ok === true),
      );
      await until(
        "the ledger holds more",
        () => leased.redoubt(["--json", "ledger", "verify"]),
        ({ code }) => code === 0,
      );
    }
    copyFileSync(join(root, "old.db"), ledger);
    const supervisor = new RedoubtProcess(["--data", data, "up"], { isTied: true });
    try {
      const { stdout } = await until(
        "the broker's log is found to be short",
        () => run(["recover"]),
        (found) => found.code === 2 && found.stdout.includes("recover log --broker"),
      );
      assert.ok(!stdout.includes("recover log --realm"), stdout);
      const args = ["recover", "log", "--broker", "--reason", "old ledger.db", "--yes"];
      const closed = await run(args);
      assert.equal(closed.code, 0, closed.stdout + closed.stderr);
      assert.equal(parseJsonObject(closed.stdout)["successor"], "redoubt.local/broker-2");
      for (const realm of ["consumer", "enterprise"])
        await until(
          `a token of ${realm}`,
          () => run(["token", "--realm", realm]),
          ({ code }) => code === 0,
        );
      await until(
        "every log can go on",
        () => run(["recover"]),
        ({ code }) => code === 0,
      );
      const [, kid = ""] = /"kid":"([\w-]{43})"/.exec((await run(["keys", "list"])).stdout) ?? [];
      await until(
        "keys are attested in the new log",
        () => run(["attest", "verify", kid]),
        ({ code }) => code === 0,
      );
      await until(
        "every log is verified",
        () => run(["ledger", "verify"]),
        ({ code }) => code === 0,
      );
    } finally {
      supervisor.kill("SIGINT");
      await supervisor.ended;
    }
  });
});
