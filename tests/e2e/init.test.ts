import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { chmodSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { it, type TestContext } from "node:test";
import { MemberReader } from "@redoubt/base";
import { NO_SOFTHSM } from "@redoubt/custody/testing/softhsm";
import { makeCertificate, NO_OPENSSL } from "@redoubt/testkit";
import { isJsonObject, parseJson, parseJsonObject } from "@redoubt/verify/json";
import { freeBasePort } from "./free-ports.ts";
import { blocksOf, follow, repository, tableCommands, type } from "./guide.ts";
import { redoubt, startSystem, type System } from "./system.ts";

function temporaryFolder(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), "redoubt-init-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

async function keysOf(system: System) {
  const keys = parseJson((await system.redoubt(["--json", "keys", "list"])).stdout);
  assert.ok(Array.isArray(keys));
  return keys.filter(isJsonObject).map((key) => {
    const reader = new MemberReader(key, "key");
    return {
      kid: reader.string("kid"),
      realm: reader.string("realm"),
      custody: reader.string("custody"),
    };
  });
}

const run = promisify(execFile);
const FETCH = `
  const text = async (url, init) => (await fetch(url, init)).text();
  const [issuer] = process.argv.slice(1);
  const metadata = await text(issuer + "/.well-known/openid-configuration");
  const { jwks_uri, token_endpoint } = JSON.parse(metadata);
  console.log(metadata);
  console.log(await text(jwks_uri));
  const answer = await fetch(token_endpoint, { method: "POST", body: new URLSearchParams({ a: "b" }) });
  console.log(answer.status, await answer.text());`;
/** The guide's way to try a custody before a signer does, with the object that it shows. */
async function tryCustody(folder: string, port: number): Promise<string> {
  const [shown = ""] = blocksOf("hsm.md", "Configuration", "json");
  const text = shown.replaceAll("{realm}", "consumer").replaceAll("/srv/redoubt", folder);
  const { custody } = parseJsonObject(text);
  const file = join(folder, "custody.json");
  writeFileSync(file, JSON.stringify(custody));
  const [commands = ""] = blocksOf("hsm.md", "Configuration", "sh");
  const environment = `export SOFTHSM2_CONF='${folder}/hsm/softhsm2.conf'\n`;
  const script = environment + commands.replace("custody.json", file);
  return type(script, { folder: repository, port });
}

const BASE = "https://login.example.org/sso";

it("init: a system that the world knows by an address of its own, below a path", async (t) => {
  const folder = join(temporaryFolder(t), "data");
  const port = await freeBasePort();
  const init = ["--json", "--data", folder, "init", "--port", String(port), "--issuer", BASE];
  assert.match((await redoubt(init)).stdout, /--presence-origin is missing/);
  init.push("--presence-origin", "https://approve.login.example.org");
  assert.match((await redoubt(init)).stdout, /Who speaks TLS/);
  init.push("--proxy", "127.0.0.1");
  const made = await redoubt(init);
  assert.equal(made.code, 0, made.stderr);
  assert.match(made.stdout, /"rpId":"login.example.org"/);
  const again = await redoubt(init);
  assert.equal(again.code, 1);
  assert.match(again.stdout, /ERR_DATA_FOLDER.*cannot be changed/);

  await using system = await startSystem({ folder, port });
  const issuer = system.announcement.issuers.find(({ realm }) => realm === "enterprise")?.issuer;
  assert.ok(issuer !== undefined && issuer.startsWith(`${BASE}/`), issuer);
  const metadata = `/sso/${issuer.slice(BASE.length + 1)}/.well-known/openid-configuration`;
  const found = parseJsonObject(await (await fetch(`http://127.0.0.1:${port}${metadata}`)).text());
  assert.equal(found["issuer"], issuer);
  assert.equal(found["jwks_uri"], `${issuer}/keys`);
  assert.equal(found["token_endpoint"], issuer.replace("/v2.0", "/oauth2/v2.0/token"));

  const { stdout: token } = await system.redoubt(["token"]);
  const verdict = await system.redoubt(["--json", "verify", "-", "--report"], token);
  assert.equal(verdict.code, 0, verdict.stderr);
  const claims = parseJsonObject(verdict.stdout)["claims"];
  assert.equal(isJsonObject(claims) && claims["iss"], issuer);

  const kid = (await keysOf(system)).find(({ realm }) => realm === "enterprise")?.kid;
  const shown = await system.redoubt(["keys", "show", kid ?? ""]);
  assert.equal(shown.code, 0, shown.stderr);
  const reporter = await system.redoubt(["reporters", "add", "orders"]);
  assert.match(reporter.stdout, /url: "https:\/\/login\.example\.org\/sso\/reports\/"/);
  const drill = await system.redoubt(["drill", "storm-0558"]);
  assert.equal(drill.code, 0, drill.stdout.slice(-2000));
});

it("init: TLS of our own, on another address than loopback's", { skip: NO_OPENSSL }, async (t) => {
  const root = temporaryFolder(t);
  const folder = join(root, "data");
  const { certificate, key } = makeCertificate(root, [
    "localhost",
    "DNS:localhost",
    "IP:127.0.0.2",
  ]);
  const port = await freeBasePort();
  const init = (issuer: string, ...more: string[]) =>
    redoubt([
      "--data",
      folder,
      "init",
      "--port",
      String(port),
      "--issuer",
      issuer,
      "--listen",
      `127.0.0.2:${port}`,
      "--tls-certificate",
      certificate,
      ...more,
    ]);
  const base = `https://127.0.0.2:${port}`;
  const plain = await init(base);
  assert.match(plain.stderr, /needs --tls-certificate and --tls-key/);
  const other = await init(`https://login.example.org:${port}`, "--tls-key", key);
  assert.match(other.stderr, /is not for login.example.org/);
  const made = await init(base, "--tls-key", key);
  assert.equal(made.code, 0, made.stderr);

  await using system = await startSystem({ folder, port });
  const issuer = system.announcement.issuers.find(({ realm }) => realm === "enterprise")?.issuer;
  // As a resource server elsewhere would: over the public name, trusting this certificate alone.
  const script = ["--input-type=module", "-e", FETCH, `${issuer}`];
  const env = { NODE_EXTRA_CA_CERTS: certificate };
  const { stdout } = await run(process.execPath, script, { env });
  assert.match(stdout, /^\{"issuer":"https:\/\/127\.0\.0\.2.*\n.*"kty":"EC".*\n401 /);
  assert.equal((await system.redoubt(["status"])).code, 0);
});

it(
  "docs/guide/hsm.md, to the letter: the first keys are made in the HSM",
  { skip: NO_SOFTHSM },
  async (t) => {
    const folder = temporaryFolder(t);
    chmodSync(folder, 0o700);
    const port = await freeBasePort();
    await follow({ guide: "hsm.md", heading: "SoftHSM, step by step" }, { folder, port });
    assert.match(await tryCustody(folder, port), /^made, used: .* refused: \[\]/);
    const data = join(folder, ".redoubt");
    await using system = await startSystem({ folder: data, port });
    const places = (await keysOf(system)).map(({ realm, custody }) => `${realm} ${custody}`);
    assert.deepEqual([...new Set(places)].toSorted(), ["consumer pkcs11", "enterprise pkcs11"]);
    for (const realm of ["consumer", "enterprise"]) {
      assert.deepEqual(readdirSync(join(data, `signer-${realm}`, "custody")), []);
      const token = await system.redoubt(["token", "--realm", realm]);
      const verdict = await system.redoubt(["verify", "-", "--realm", realm], token.stdout);
      assert.equal(verdict.code, 0, verdict.stderr);
    }
    assert.match((await system.redoubt(["status"])).stdout, /custody: pkcs11/);
  },
);

it("docs/guide/one-machine.md: every command of its table", async (t) => {
  const folder = temporaryFolder(t);
  chmodSync(folder, 0o700);
  const port = await freeBasePort();
  await using system = await startSystem({ folder: join(folder, ".redoubt"), port, leases: true });
  const commands = tableCommands("one-machine.md");
  assert.ok(commands.length >= 12, String(commands.length));
  for (const command of commands) {
    // oxlint-disable-next-line no-await-in-loop -- in the order of the table; the last ones attack
    const said = await type(command, { folder, port }).catch((error: unknown) => {
      // `alarms` ends with 2 where some are open: the reading of a record is one.
      const isOpen = command.endsWith("alarms") && Reflect.get(Object(error), "code") === 2;
      return isOpen ? "open" : assert.fail(`${command}: ${String(error)}`);
    });
    assert.notEqual(said.trim(), "", command);
  }
  assert.equal((await system.redoubt(["token"])).code, 0);
});
