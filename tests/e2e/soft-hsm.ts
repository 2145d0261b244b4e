import { readFileSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { canonicalBytes, writeDurable } from "@redoubt/base";
import {
  createSoftHsm,
  createToken,
  softHsmEnv,
  SOFTHSM_MODULE,
  type SoftToken,
} from "@redoubt/custody/testing/softhsm";
import { parseJsonObject } from "@redoubt/verify/json";

/** A SoftHSM with one token, for the keys of one realm. */
export class SoftHsm implements Disposable {
  readonly folder: string = createSoftHsm();
  readonly token: SoftToken;

  constructor(label: string) {
    const env = { PATH: process.env["PATH"], ...softHsmEnv(this.folder) };
    this.token = createToken(label, undefined, env);
    writeDurable(join(this.folder, "pin"), this.token.pin.reveal());
  }

  /** `dataFolder`: of a system that was set up and did not start yet. */
  takeKeysOf(dataFolder: string, signer: string): void {
    const path = join(dataFolder, signer, "config.json");
    const custody = {
      kind: "pkcs11",
      module: SOFTHSM_MODULE,
      tokenLabel: this.token.label,
      pinFile: join(this.folder, "pin"),
    };
    const custodyNeeds = { environment: softHsmEnv(this.folder) };
    const config = parseJsonObject(readFileSync(path));
    writeDurable(path, canonicalBytes({ ...config, custody, custodyNeeds }));
  }

  /** The folder of all tokens, without which the module does not even start, pulled out of the machine or put back. */
  plug(isIn: boolean): void {
    const inside = join(this.folder, "tokens");
    const outside = join(this.folder, "away");
    if (isIn) renameSync(outside, inside);
    else renameSync(inside, outside);
  }

  [Symbol.dispose](): void {
    rmSync(this.folder, { recursive: true });
  }
}
