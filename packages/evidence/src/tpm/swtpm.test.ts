import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { after, describe, it } from "node:test";
import { WITHOUT_SWTPM, manufactureSwtpm, type ManufacturedTpm } from "../testing/swtpm.ts";
import { tpmContract, type OpenTpm } from "../testing/tpm-contract.ts";
import { readTpmKey } from "./client.ts";
import { sized, u16, u32 } from "./marshal.ts";
import { readNv, writeNv } from "./nv-commands.ts";
import { parsePublicArea } from "./public-area.ts";
import { EK_P384, EK_RSA_2048 } from "./templates.ts";

let manufactured: ManufacturedTpm | undefined;

function open(): Promise<OpenTpm> {
  manufactured ??= manufactureSwtpm();
  return manufactured.open();
}

after(() => manufactured?.[Symbol.dispose]());

const USER_DATA = 0x0140_0002;

/** NV_DefineSpace (TPM 2.0 Part 3 §31.3) by the owner: an index without a password. */
function defineNv(index: number, size: number, attributes: number): Buffer {
  const area = Buffer.concat([u32(index), u16(0x000b), u32(attributes), sized(), u16(size)]);
  const password = Buffer.from("400000090000000000", "hex");
  const body = Buffer.concat([
    u32(0x12a),
    u32(0x4000_0001),
    u32(password.length),
    password,
    sized(),
    sized(area),
  ]);
  return Buffer.concat([u16(0x8002), u32(body.length + 6), body]);
}

function refused(found: string | number): object {
  return { code: "ERR_TPM_RESPONSE", found };
}

describe("swtpm", { skip: WITHOUT_SWTPM }, () => {
  tpmContract(open);

  for (const [who, attributes] of [
    ["its owner", (1 << 1) | (1 << 17)],
    // NO_DA (bit 25), or its first use after a start is answered with TPM_RC_RETRY.
    ["whoever has its password", (1 << 2) | (1 << 18) | (1 << 25)],
  ] as const)
    it(`an NV index that ${who} may write`, async () => {
      await using tpm = await open();
      const { transport } = tpm;
      const data = Buffer.alloc(64, 0xab);
      await assert.rejects(writeNv(transport, USER_DATA, data), refused("0x18b TPM_RC_HANDLE"));
      await transport.send(defineNv(USER_DATA, 64, attributes));
      // Field report A7.
      await assert.rejects(readNv(transport, USER_DATA), refused("0x14a TPM_RC_NV_UNINITIALIZED"));
      await assert.rejects(writeNv(transport, USER_DATA, data.subarray(1)), refused(64));
      await writeNv(transport, USER_DATA, data);
      assert.deepEqual(await readNv(transport, USER_DATA), data);
      await assert.rejects(writeNv(transport, USER_DATA, Buffer.alloc(513)), RangeError);
    });

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
