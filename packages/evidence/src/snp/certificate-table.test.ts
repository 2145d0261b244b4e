import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { EvidenceError } from "../evidence-error.ts";
import { certificateTable } from "../testing/certificate-table.ts";
import { parseSnpCertificateTable } from "./certificate-table.ts";

const [A, B] = [Buffer.from("first"), Buffer.from("second, longer")];
const VCEK = "63da758d-e664-4564-adc5-f4b93be8accd";
const OTHER = "92f81bc3-5811-4d3d-97ff-d19f88dc67ea";

test("certificates are found by their GUIDs, whatever else a host adds", () => {
  const table = certificateTable([
    [OTHER, B],
    ["c0b406a4-a803-4952-9743-3fb6014cd0ae", A],
    [VCEK, B],
    ["4ab7b379-bbac-4fe4-a02f-05aef327c782", A],
    ["a8074bc2-a25a-483e-aae6-39c045a0b8a1", B],
  ]);
  assert.deepEqual(
    [...parseSnpCertificateTable(table)],
    [
      ["ark", A],
      ["vcek", B],
      ["ask", A],
      ["vlek", B],
    ],
  );
});

test("the bytes of a GUID stand in the order in which it is written", () => {
  const table = certificateTable([[VCEK, A]]);
  assert.equal(table.toString("hex", 0, 8), "63da758de6644564");
  // Fields swapped, as Microsoft's GUIDs are: an entry of somebody else.
  table.subarray(0, 4).reverse();
  assert.equal(parseSnpCertificateTable(table).size, 0);
});

test("a host that gives nothing", () => {
  assert.equal(parseSnpCertificateTable(Buffer.alloc(0)).size, 0);
  assert.equal(parseSnpCertificateTable(Buffer.alloc(4096)).size, 0);
});

function refused(table: Buffer, part: string): void {
  assert.throws(() => parseSnpCertificateTable(table), { code: "ERR_EVIDENCE_FORMAT", part });
}

test("a table is held to its bounds", () => {
  refused(certificateTable([[VCEK, A]]).subarray(0, 40), "auxblob[0]");
  refused(Buffer.alloc(23), "auxblob[0]");
  refused(Buffer.alloc(24, 1), "auxblob[1]");
  refused(Buffer.alloc(24 * 40, 1), "auxblob[32]");
  refused(
    certificateTable([
      [VCEK, A],
      [VCEK, B],
    ]),
    "auxblob[1]",
  );
  for (const [offset, value] of [
    [16, 49],
    [20, 0],
    [20, 6],
    [20, 0xffff_ffff],
  ] as const) {
    const table = certificateTable([[VCEK, A]]);
    table.writeUInt32LE(value, offset);
    refused(table, "auxblob[0]");
  }
});

test("any bytes give certificates or a coded error", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      try {
        parseSnpCertificateTable(bytes);
      } catch (error) {
        assert.ok(error instanceof EvidenceError);
      }
    }),
  );
});
