import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { CustodyKey } from "@redoubt/custody";
import type { CallLimits } from "@redoubt/custody/call-gate";
import {
  openGoogleKmsCustodian,
  type GoogleKmsCustodian,
  type GoogleKmsParts,
} from "../google-kms-custodian.ts";
import type { GoogleKmsSettings } from "../settings.ts";
import { FakeGoogleKms } from "./fake-google-kms.ts";

export const KEY_RING = "projects/p-1/locations/europe-west3/keyRings/tokens";

/** Why the tests that need the SDK cannot run; false where they can. */
export const skip = ((): string | false => {
  try {
    import.meta.resolve("@google-cloud/kms");
    return false;
  } catch {
    return "@google-cloud/kms is not installed";
  }
})();

/** Tests that need the SDK; without it they are one test that is skipped, and counted. */
export function describeWithSdk(name: string, tests: () => void): void {
  if (skip === false) describe(name, tests);
  else it(name, { skip });
}

/** A service and a custodian of it whose pauses take no time. */
export class Harness implements AsyncDisposable {
  readonly fake: FakeGoogleKms;
  readonly pauses: number[] = [];
  readonly #custodians: GoogleKmsCustodian[] = [];
  #now = 0;

  constructor(fake: FakeGoogleKms) {
    this.fake = fake;
  }

  static async start(): Promise<Harness> {
    return new Harness(await FakeGoogleKms.start());
  }

  async open(
    settings: Partial<GoogleKmsSettings> = {},
    parts: GoogleKmsParts = {},
  ): Promise<GoogleKmsCustodian> {
    const unsafeLoopbackPort = this.fake.port;
    const custodian = await openGoogleKmsCustodian(
      { keyRing: KEY_RING, ring: "enterprise", unsafeLoopbackPort, ...settings },
      {
        clock: { monotonic: () => this.#now },
        random: () => 1,
        wait: async (milliseconds) => {
          this.pauses.push(milliseconds);
          this.#now += milliseconds;
        },
        ...parts,
      },
    );
    this.#custodians.push(custodian);
    return custodian;
  }

  /** A custodian with one ES256 key, and the service's part of it. */
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

export async function assertRefused(
  use: () => Promise<unknown>,
  code: string,
  message = /^[A-Z]/,
): Promise<void> {
  await assert.rejects(use, { name: "KeyError", code, message });
}

export const input = Buffer.from("header.payload");

export async function assertSignRefused(key: CustodyKey, code: string): Promise<void> {
  await assertRefused(async () => key.sign(input), code);
}
