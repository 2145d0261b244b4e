import assert from "node:assert/strict";
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { MemberReader } from "@redoubt/base";
import {
  Operator,
  readDemo,
  readSettings,
  ringsOf,
  loopbackPlan,
  setUp,
  issuerTemplate,
  portsFrom,
} from "@redoubt/cli";
import { readAlarms, textOf, waitForAlarm } from "@redoubt/cli/drill";
import { createReportQueue, createVerifier, fromStaticRecords } from "@redoubt/verify";
import { isJsonObject, parseJson, parseJsonObject, type JsonObject } from "@redoubt/verify/json";
import { signBehindTheSigner } from "@redoubt/custody/testing/raw-token";
import { NO_SOFTHSM } from "@redoubt/custody/testing/softhsm";
import { digestOf } from "../drills/monitor-time.ts";
import { freeBasePort } from "./free-ports.ts";
import { SoftHsm } from "./soft-hsm.ts";
import { startSystem, type System } from "./system.ts";
import { SETTLE_MS, until } from "./until.ts";

const SIGNER = "signer-enterprise";

/** One machine whose enterprise keys are in an HSM from the first start on. */
class HsmMachine {
  readonly root: string = mkdtempSync(join(tmpdir(), "rdt-hsm-"));
  readonly folder: string = this.root;
  readonly hsm: SoftHsm = new SoftHsm("redoubt-enterprise");
  #system: System | undefined;

  get system(): System {
    return this.#system ?? assert.fail("not started");
  }

  async setUp(): Promise<void> {
    chmodSync(this.folder, 0o700);
    await setUp(this.folder, loopbackPlan(await freeBasePort()), new Date());
    this.hsm.takeKeysOf(this.folder, SIGNER);
  }

  async start(): Promise<void> {
    this.#system = await startSystem({
      folder: this.folder,
      port: readSettings(this.folder).port,
    });
  }

  async stop(): Promise<void> {
    await this.#system?.stop();
    this.#system = undefined;
  }

  async remove(): Promise<void> {
    await this.stop();
    rmSync(this.root, { recursive: true });
    this.hsm[Symbol.dispose]();
  }

  /** Kid, state and custody of the enterprise realm's keys. */
  async keys(): Promise<readonly (readonly string[])[]> {
    const { stdout } = await this.system.redoubt(["--json", "keys", "list"]);
    const keys = parseJson(stdout);
    assert.ok(Array.isArray(keys));
    return keys
      .filter(isJsonObject)
      .filter((key) => key["realm"] === "enterprise" && key["class"] === "at")
      .map((key) => ["kid", "state", "custody"].map((name) => textOf(key[name])));
  }

  /** Names of the variables that a process was started with. */
  async variables(service: string): Promise<string[]> {
    const environment = readFileSync(`/proc/${await this.system.pidOf(service)}/environ`, "utf8");
    return environment.split("\0").map((line) => line.slice(0, line.indexOf("=")));
  }

  async mayLoadNativeCode(service: string): Promise<boolean> {
    const command = readFileSync(`/proc/${await this.system.pidOf(service)}/cmdline`, "utf8");
    return command.split("\0").includes("--allow-addons");
  }

  async accessToken(realm = "enterprise"): Promise<string | undefined> {
    const { code, stdout } = await this.system.redoubt(["token", "--realm", realm]);
    return code === 0 ? stdout.trim() : undefined;
  }

  async until(what: string, isSo: (signer: JsonObject) => boolean): Promise<void> {
    await until(what, async () => (await this.system.status())[SIGNER] ?? {}, isSo);
  }
}

describe("a signer whose keys are in a PKCS#11 token", { skip: NO_SOFTHSM }, () => {
  let machine: HsmMachine;
  before(async () => {
    machine = new HsmMachine();
    await machine.setUp();
    await machine.start();
  });
  after(() => machine.remove());

  it("issues tokens that verify, under records that say where their key is", async () => {
    const token = await machine.accessToken();
    assert.equal((await machine.system.redoubt(["verify"], token)).code, 0);
    const keys = await machine.keys();
    assert.deepEqual(
      keys.map(([, state, custody]) => [state, custody]),
      [
        ["active", "pkcs11"],
        ["prepublished", "pkcs11"],
      ],
    );
    const { stdout, code } = await machine.system.redoubt(["status"]);
    assert.equal(code, 0, stdout);
    assert.match(stdout, /custody: pkcs11/);
    // Nothing of it is in the folder for files.
    assert.deepEqual(readdirSync(join(machine.folder, SIGNER, "custody")), []);
  });

  it("THREAT-33: the process has the HSM's variable and nothing else of anybody's environment", async () => {
    const others = await machine.variables("signer-consumer");
    const own = await machine.variables(SIGNER);
    assert.deepEqual(
      own.filter((name) => !others.includes(name)),
      ["SOFTHSM2_CONF"],
    );
    assert.equal(others.includes("HOME"), false);
    // ARCHITECTURE §7: native code for the signer whose keys are in an HSM, and for no other process.
    assert.equal(await machine.mayLoadNativeCode(SIGNER), true);
    assert.equal(await machine.mayLoadNativeCode("signer-consumer"), false);
  });

  it("THREAT-03: its real key, used behind the signer's back, is an alarm once a verifier saw the token", async () => {
    const { folder, hsm } = machine;
    const settings = readSettings(folder);
    const ports = portsFrom(settings.port);
    const { clients, reporters } = readDemo(folder);
    const client = clients.find(({ realm }) => realm === "enterprise") ?? assert.fail();
    const issued = (await machine.accessToken()) ?? assert.fail("no token");
    const [header = "", payload = ""] = issued.split(".");
    const claims = parseJsonObject(Buffer.from(payload, "base64url"));
    const audience = new MemberReader(claims, "claims").string("aud");
    await using operator = new Operator(folder, settings);
    const { head } = await operator.client(SIGNER, "drill").request({ op: "fetchKeys" });
    const records = (Array.isArray(head["keys"]) ? head["keys"].filter(isJsonObject) : []).map(
      (key) => ({ record: textOf(key["record"]), ring: textOf(key["ring"]), jwk: key["jwk"] }),
    );
    const kid = parseJsonObject(Buffer.from(header, "base64url"))["kid"];
    const jwk = records
      .map((record) => record.jwk)
      .find((one) => isJsonObject(one) && one["kid"] === kid);
    assert.ok(isJsonObject(jwk));

    const forged = { ...claims, sub: "somebody else", jti: "A".repeat(22) };
    const input = `${header}.${Buffer.from(JSON.stringify(forged)).toString("base64url")}`;
    const publicJwk = {
      kty: textOf(jwk["kty"]),
      crv: textOf(jwk["crv"]),
      x: textOf(jwk["x"]),
      y: textOf(jwk["y"]),
    };
    const signature = await signBehindTheSigner({
      softHsm: hsm.folder,
      token: hsm.token,
      publicJwk,
      input: Buffer.from(input),
    });
    const stolen = `${input}.${signature.toString("base64url")}`;

    const reports = createReportQueue({
      url: `http://127.0.0.1:${ports.monitor}`,
      reporter: "drill",
      secret: reporters.find(({ reporter }) => reporter === "drill")?.secret ?? "",
      ackKey: settings.ack,
      intervalMs: 200,
      onAlarm: () => undefined,
    });
    const verifier = await createVerifier({
      trust: fromStaticRecords(records, { rings: ringsOf(settings) }),
      audience,
      accept: [
        {
          issuer: issuerTemplate("enterprise", ports.publisher),
          realm: "enterprise",
          tenants: "any",
        },
      ],
      issuance: { mode: "audit", reporter: reports },
    });
    try {
      // The key is the right one, so that the token is valid wherever nobody asks who issued it.
      assert.equal(verifier.verify(stolen).tenantId, client.tenant);
      verifier.verify(issued);
      await reports.flush();
      const alarm = await waitForAlarm(
        operator,
        { digest: digestOf(stolen) },
        ({ kind }) => kind === "forged",
        SETTLE_MS,
      );
      assert.equal(alarm?.["kind"], "forged");
      assert.deepEqual(await readAlarms(operator, { digest: digestOf(issued) }), []);
    } finally {
      verifier.close();
      await reports.close();
    }
  });

  it("THREAT-05: without its HSM it signs nothing, loses no key, and comes back by itself", async () => {
    const known = await machine.keys();
    machine.hsm.plug(false);
    const refused = await machine.system.redoubt(["token", "--realm", "enterprise"]);
    assert.notEqual(refused.code, 0);
    await machine.until("not ready", ({ ready }) => ready === false);
    await machine.until("says why", ({ reason }) => textOf(reason).startsWith("ERR_KEY_BUSY: "));
    const status = await machine.system.redoubt(["status"]);
    assert.equal(status.code, 2);
    assert.match(status.stdout, /signer-enterprise is not ready: ERR_KEY_BUSY: /);
    // The other realm has nothing to do with it.
    assert.notEqual(await machine.accessToken("consumer"), undefined);
    assert.deepEqual(await machine.keys(), known);
    machine.hsm.plug(true);
    await machine.until("ready again", ({ ready }) => ready === true);
    assert.deepEqual(await machine.keys(), known);
    const token = await machine.accessToken();
    assert.equal((await machine.system.redoubt(["verify"], token)).code, 0);
  });

  it("a restart finds the keys where they were", async () => {
    const known = await machine.keys();
    await machine.stop();
    await machine.start();
    assert.deepEqual(await machine.keys(), known);
    const token = await machine.accessToken();
    assert.equal((await machine.system.redoubt(["verify"], token)).code, 0);
  });
});
