import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { CustodyKey } from "@redoubt/custody";
import type { CallLimits } from "@redoubt/custody/call-gate";
import {
  openAzureKeyVaultCustodian,
  type AzureKeyVaultCustodian,
  type AzureKeyVaultParts,
} from "../azure-key-vault-custodian.ts";
import type { TokenCredential } from "../sdk.ts";
import type { AzureKeyVaultSettings } from "../settings.ts";
import { FakeKeyVault, ORIGIN } from "./fake-key-vault.ts";

/** Why the tests that need the SDK cannot run; false where they can. */
export const skip = ((): string | false => {
  try {
    import.meta.resolve("@azure/keyvault-keys");
    return false;
  } catch {
    return "@azure/keyvault-keys is not installed";
  }
})();

/** Tests that need the SDK; without it they are one test that is skipped, and counted. */
export function describeWithSdk(name: string, tests: () => void): void {
  if (skip === false) describe(name, tests);
  else it(name, { skip });
}

export const SETTINGS: AzureKeyVaultSettings = {
  vaultUrl: ORIGIN,
  ring: "enterprise",
  identity: { kind: "managed-identity" },
};

/** 2026-11-24. */
export const NOW_MS = 1_795_478_400_000;

/** A vault and custodians of it whose pauses take no time. */
export class Harness implements AsyncDisposable {
  readonly fake: FakeKeyVault;
  readonly pauses: number[] = [];
  /** What tokens were asked for. */
  readonly scopes: string[] = [];
  readonly credential: TokenCredential;
  readonly #custodians: AzureKeyVaultCustodian[] = [];
  #now = 0;

  private constructor(fake: FakeKeyVault) {
    this.fake = fake;
    this.credential = {
      getToken: async (scopes) => {
        this.scopes.push(String(scopes));
        // The SDK has no other clock than the machine's.
        return { token: fake.token, expiresOnTimestamp: Date.now() + 3_600_000 };
      },
    };
  }

  static async start(): Promise<Harness> {
    return new Harness(await FakeKeyVault.start());
  }

  async open(
    settings: Partial<AzureKeyVaultSettings> = {},
    parts: AzureKeyVaultParts = {},
  ): Promise<AzureKeyVaultCustodian> {
    const custodian = await openAzureKeyVaultCustodian(
      { ...SETTINGS, ...settings },
      {
        clock: { now: () => NOW_MS, monotonic: () => this.#now },
        random: () => 1,
        wait: async (milliseconds) => {
          this.pauses.push(milliseconds);
          this.#now += milliseconds;
        },
        credential: this.credential,
        agent: this.fake.agent,
        ...parts,
      },
    );
    this.#custodians.push(custodian);
    return custodian;
  }

  /** A custodian with one ES256 key, and the vault's part of it. */
  async withKey(limits: Partial<CallLimits> = {}) {
    const custodian = await this.open({ limits });
    const key = await custodian.generate("ES256");
    return { custodian, key, version: this.fake.version(key.id) };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const custodian of this.#custodians) await custodian[Symbol.asyncDispose]();
    await this.fake[Symbol.asyncDispose]();
  }
}

export const input = Buffer.from("header.payload");

export async function assertRefused(
  use: () => Promise<unknown>,
  code: string,
  message = /^[A-Z]/,
): Promise<void> {
  await assert.rejects(use, { name: "KeyError", code, message });
}

export async function assertSignRefused(key: CustodyKey, code: string): Promise<void> {
  await assertRefused(async () => key.sign(input), code);
}
