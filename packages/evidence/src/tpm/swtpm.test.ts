import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { after, describe, it } from "node:test";
import { WITHOUT_SWTPM, manufactureSwtpm, type ManufacturedTpm } from "../testing/swtpm.ts";
import { tpmContract, type OpenTpm } from "../testing/tpm-contract.ts";
import { readTpmKey } from "./client.ts";
import { readNv } from "./nv-commands.ts";
import { parsePublicArea } from "./public-area.ts";
import { EK_P384, EK_RSA_2048 } from "./templates.ts";

let manufactured: ManufacturedTpm | undefined;

function open(): Promise<OpenTpm> {
  manufactured ??= manufactureSwtpm();
  return manufactured.open();
}

after(() => manufactured?.[Symbol.dispose]());

describe("swtpm", { skip: WITHOUT_SWTPM }, () => {
  tpmContract(open);

  for (const [what, template, persistentHandle, certificate] of [
    ["RSA", EK_RSA_2048, 0x8101_0001, 0x01c0_0002],
    ["P-384", EK_P384, 0x8101_0016, 0x01c0_0016],
  ] as const)
    it(`the ${what} endorsement key of our template is the one that its maker certified`, async () => {
      await using tpm = await open();
      const made = await readTpmKey(tpm.transport, template);
      assert.deepEqual(made, await readTpmKey(tpm.transport, { persistentHandle }));
      const { publicKey } = new X509Certificate(await readNv(tpm.transport, certificate));
      assert.ok(publicKey.equals(parsePublicArea(made).key));
    });
});
