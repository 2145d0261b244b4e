import assert from "node:assert/strict";
import { generateKeyPairSync, randomBytes } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { after, before, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { nowSeconds, systemClock } from "@redoubt/base";
import {
  enrolmentKey,
  makeStatement,
  openEnvelope,
  personHash,
  sealEnvelope,
  type OpenedStatement,
} from "@redoubt/presence";
import { encodeBase64url } from "@redoubt/verify/base64url";
import { ask, PRESENCE, readSocketSecret, SocketClient, socketPlace } from "@redoubt/wire";
import { chromium, type Browser, type Page } from "playwright-core";
import { startSystem, type System } from "./system.ts";

const CHROMIUM = "/usr/bin/chromium";
const NO_CHROMIUM = !existsSync(CHROMIUM) && "Debian package chromium is missing: npm run setup";
const AXE = readFileSync(fileURLToPath(import.meta.resolve("axe-core/axe.min.js")), "utf8");
const RP_ID = "localhost";

/** A passkey that a virtual authenticator is given, so that its public key is known here. */
class Passkey {
  readonly id = randomBytes(32);
  readonly #pair = generateKeyPairSync("ec", { namedCurve: "P-256" });

  /** CTAP 2.1 §8: the one COSE encoding of a key on P-256. */
  get publicKey(): string {
    const { x = "", y = "" } = this.#pair.publicKey.export({ format: "jwk" });
    const parts = ["a5010203262001215820", hexOf(x), "225820", hexOf(y)];
    return encodeBase64url(Buffer.from(parts.join(""), "hex"));
  }

  async giveTo(page: Page, isUserVerified = true): Promise<void> {
    const session = await page.context().newCDPSession(page);
    await session.send("WebAuthn.enable", { enableUI: false });
    const { authenticatorId } = await session.send("WebAuthn.addVirtualAuthenticator", {
      options: {
        protocol: "ctap2",
        ctap2Version: "ctap2_1",
        transport: "internal",
        hasResidentKey: true,
        hasUserVerification: true,
        isUserVerified,
        automaticPresenceSimulation: true,
      },
    });
    const privateKey = this.#pair.privateKey.export({ format: "der", type: "pkcs8" });
    await session.send("WebAuthn.addCredential", {
      authenticatorId,
      credential: {
        credentialId: this.id.toString("base64"),
        isResidentCredential: true,
        rpId: RP_ID,
        privateKey: privateKey.toString("base64"),
        userHandle: randomBytes(16).toString("base64"),
        signCount: 1,
      },
    });
  }
}

function hexOf(text: string): string {
  return Buffer.from(text, "base64url").toString("hex");
}

describe("the ceremony page in a browser", { skip: NO_CHROMIUM }, () => {
  let system: System;
  let browser: Browser;
  let operator: SocketClient;
  before(async () => {
    [system, browser] = await Promise.all([
      startSystem(),
      // Its sandbox needs another user than the one that tests may run as.
      chromium.launch({ executablePath: CHROMIUM, args: ["--no-sandbox"] }),
    ]);
    const { path, ...place } = socketPlace(system.folder, "presence", "operator");
    operator = new SocketClient({ path, secret: readSocketSecret({ path, ...place }) });
  });
  after(async () => {
    await operator?.[Symbol.asyncDispose]();
    await browser?.close();
    await system?.[Symbol.asyncDispose]();
  });

  for (const scheme of ["light", "dark"] as const)
    for (const width of [360, 1280])
      it(`approved with the keyboard alone, ${scheme}, ${width} px wide: readable for everybody, nothing refused`, async () => {
        const { statement, id, page, complaints } = await open(scheme, width);
        const passkey = new Passkey();
        await passkey.giveTo(page);
        assert.equal(await page.title(), statement.text[0]);
        for (const line of [...statement.text, statement.code])
          assert.ok(await page.getByText(line, { exact: true }).first().isVisible(), line);
        assert.deepEqual(await violations(page), []);
        assert.equal(await page.evaluate("document.documentElement.scrollWidth"), width);
        await page.keyboard.press("Tab");
        assert.equal(
          await page.evaluate("document.activeElement.textContent.trim()"),
          "Approve with a passkey",
        );
        await page.keyboard.press("Enter");
        const status = page.getByRole("alert");
        await status.filter({ hasText: /^Approved\./ }).waitFor();
        assert.equal(await page.evaluate("document.activeElement.id"), "status");
        assert.equal(await page.getByRole("button", { name: "Decline" }).isDisabled(), true);
        assert.deepEqual(await violations(page), []);
        await page.close();
        assert.deepEqual(complaints, []);
        const { state, assertions } = await ask(operator, PRESENCE.collect, { id, waitMs: 0 });
        assert.equal(state, "collected");
        assertApproved(statement, passkey, assertions);
      });

  it("declined, and from then on nobody approves it", async () => {
    const { id, page, complaints } = await open("light", 360);
    await page.getByRole("button", { name: "Decline" }).click();
    await page.getByRole("alert").filter({ hasText: "it will not be done" }).waitFor();
    assert.equal(
      await page.getByRole("button", { name: "Approve with a passkey" }).isDisabled(),
      true,
    );
    await page.reload();
    assert.equal(await page.title(), "Declined");
    assert.deepEqual(await violations(page), []);
    await page.close();
    assert.deepEqual(complaints, []);
    assert.equal((await ask(operator, PRESENCE.collect, { id, waitMs: 0 })).state, "declined");
  });

  it("whoever does not show that it is them is told so, and nothing is approved", async () => {
    const { id, page } = await open("dark", 360);
    await new Passkey().giveTo(page, false);
    await page.getByRole("button", { name: "Approve with a passkey" }).click();
    await page.getByRole("alert").filter({ hasText: "nothing is approved" }).waitFor();
    assert.equal(await page.getByRole("button", { name: "Decline" }).isEnabled(), true);
    await page.close();
    assert.equal((await ask(operator, PRESENCE.collect, { id, waitMs: 0 })).state, "open");
  });

  async function open(colorScheme: "light" | "dark", width: number) {
    const now = nowSeconds(systemClock);
    const statement = makeStatement(
      {
        realm: "enterprise",
        action: "administrator.change",
        subject: { person: "p-7", change: "grant" },
        facts: { userName: "Ännä Ödegård", administrators: "2" },
        issuedAt: now,
        expiresAt: now + 300,
        rpId: RP_ID,
        origin: `http://localhost:${system.base + 5}`,
      },
      randomBytes(16),
    );
    const asked = { statement: statement.bytes, approvers: 1 };
    const { id, url } = await ask(operator, PRESENCE.open, asked);
    const page = await browser.newPage({ colorScheme, viewport: { width, height: 800 } });
    const complaints: string[] = [];
    page.on("console", (message) => complaints.push(message.text()));
    page.on("pageerror", ({ message }) => complaints.push(message));
    await page.goto(url);
    return { statement, id, page, complaints };
  }
});

/** As whoever acts on it, and a stranger later. */
function assertApproved(
  statement: OpenedStatement,
  passkey: Passkey,
  assertions: Parameters<typeof sealEnvelope>[0]["assertions"],
): void {
  const at = nowSeconds(systemClock);
  const service = { keyId: "test", ...generateKeyPairSync("ed25519") };
  const { realm, rpId, origin } = statement.statement;
  const credential = encodeBase64url(passkey.id);
  const enrolment = {
    realm,
    person: personHash("anna"),
    credential,
    publicKey: passkey.publicKey,
    class: "verified",
    rpId,
    from: at - 60,
  } as const;
  const { approvers } = openEnvelope(sealEnvelope({ statement, assertions, at, service }), {
    enrolments: new Map([[enrolmentKey(realm, credential), enrolment]]),
    ceremony: { rpId, origins: [origin] },
    services: [service],
  });
  assert.deepEqual(
    approvers.map(({ person }) => person),
    [personHash("anna")],
  );
}

async function violations(page: Page): Promise<unknown> {
  await page.evaluate(AXE);
  return page.evaluate(
    "axe.run().then(({ violations }) => violations.map(({ id, nodes }) => [id, nodes[0].html]))",
  );
}
