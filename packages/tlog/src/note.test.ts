import assert from "node:assert/strict";
import { generateKeyPairSync, sign } from "node:crypto";
import { describe, it } from "node:test";
import fc from "fast-check";
import { logKey, witnessKey } from "./testing/fixture-keys.ts";
import { refuses, survives } from "./testing/fixture-refusal.ts";
import { NEEDS_VECTORS, publishedVector } from "./testing/fixture-vectors.ts";
import type { NoteSigner } from "./note-signer.ts";
import { addSignature, MAX_NOTE_BYTES, parseNote, signLine, signNote, verifyNote } from "./note.ts";
import { encodeSignatureLine, MAX_NOTE_SIGNATURES } from "./signature-line.ts";
import { createVerifierKey, parseVerifierKey, SIGNATURE_TYPE } from "./vkey.ts";

const log = logKey("log.example", 1);
const other = logKey("other.example", 2);
const stranger = logKey("stranger.example", 3);
const body = "first line\n\nthird line\n";
const note = signNote(body, [log.signer]);
const line = note.slice(body.length + 1);

/** A line with the label of one key and the signature of another. */
function mislabelled(name: string, keyId: number): string {
  return encodeSignatureLine({ name, keyId, signature: other.signer.sign(Buffer.from(body)) });
}

function labels(text: string): string[] {
  return parseNote(text).signatures.map(({ name }) => name);
}

describe("verifyNote()", () => {
  it("accepts the example of the specification", (t) => {
    const examples = publishedVector("c2sp/examples.json");
    if (examples === undefined) return t.skip(NEEDS_VECTORS);
    const { signed_note: example }: { signed_note: { vkey: string; note: string } } =
      JSON.parse(examples);
    const key = parseVerifierKey(example.vkey);
    const { body: text, verified } = verifyNote(example.note, [key]);
    assert.equal(text, "This is an example message.\n");
    assert.deepEqual(verified, [{ name: "example.com/foo", keyId: 0x530d903a, type: 1 }]);
    refuses("ERR_TLOG_NOTE_SIGNATURE", () =>
      verifyNote(example.note.replace("message", "massage"), [key]),
    );
  });

  it("gives the body, with its empty lines, and the key that signed", () => {
    const { name, keyId } = log.verifier;
    for (const text of [note, Buffer.from(note)])
      assert.deepEqual(verifyNote(text, [log.verifier]), {
        body,
        verified: [{ name, keyId, type: 1 }],
        signatureCount: 1,
      });
  });

  it("counts the lines of unknown keys too", () => {
    const extra = mislabelled(other.verifier.name, other.verifier.keyId);
    const { verified, signatureCount } = verifyNote(`${body}\n${extra}${line}${line}`, [
      log.verifier,
    ]);
    assert.deepEqual([verified.length, signatureCount], [1, 3]);
  });

  it("ignores unknown keys, even those with the name or the id of a known one", () => {
    const { name, keyId } = log.verifier;
    const noise = [
      mislabelled(other.verifier.name, other.verifier.keyId),
      mislabelled(name, keyId + 1),
      mislabelled("log.exampl", keyId),
    ];
    for (const extra of noise) {
      const { verified } = verifyNote(`${body}\n${extra}${line}`, [log.verifier]);
      assert.equal(verified.length, 1);
      refuses("ERR_TLOG_NOTE_UNKNOWN_KEY", () => verifyNote(`${body}\n${extra}`, [log.verifier]));
    }
    refuses("ERR_TLOG_NOTE_UNKNOWN_KEY", () => verifyNote(note, []));
  });

  it("refuses a note with a wrong signature of a known key, whatever else is right", () => {
    const { name, keyId } = log.verifier;
    const wrong = mislabelled(name, keyId);
    const right = signNote(body, [other.signer]).slice(body.length + 1);
    const keys = [log.verifier, other.verifier];
    for (const lines of [wrong, right + wrong, wrong + right, line + wrong, wrong + line])
      refuses("ERR_TLOG_NOTE_SIGNATURE", () => verifyNote(`${body}\n${lines}`, keys));
  });

  it("refuses every change of the body and every flipped bit of the signature", () => {
    for (let at = 0; at < body.length - 1; at++) {
      const changed = `${body.slice(0, at)}#${body.slice(at + 1)}`;
      refuses("ERR_TLOG_NOTE_SIGNATURE", () => verifyNote(`${changed}\n${line}`, [log.verifier]));
    }
    const [parsed] = parseNote(note).signatures;
    assert(parsed !== undefined);
    for (let bit = 0; bit < 512; bit++) {
      const signature = Buffer.from(parsed.signature);
      signature.writeUInt8(signature.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3);
      const changed = `${body}\n${encodeSignatureLine({ ...parsed, signature })}`;
      refuses("ERR_TLOG_NOTE_SIGNATURE", () => verifyNote(changed, [log.verifier]));
    }
    for (const signature of [
      parsed.signature.subarray(1),
      Buffer.concat([parsed.signature, Buffer.of(0)]),
    ])
      refuses("ERR_TLOG_NOTE_SIGNATURE", () =>
        verifyNote(`${body}\n${encodeSignatureLine({ ...parsed, signature })}`, [log.verifier]),
      );
  });

  it("reports a key once, however often its line is there", () => {
    assert.equal(verifyNote(`${body}\n${line}${line}${line}`, [log.verifier]).verified.length, 1);
  });

  it("reports every known key, in the order of the note", () => {
    const both = signNote(body, [other.signer, log.signer, stranger.signer]);
    const { verified } = verifyNote(both, [log.verifier, other.verifier]);
    assert.deepEqual(
      verified.map(({ name }) => name),
      ["other.example", "log.example"],
    );
  });

  it("refuses a list of keys in which a line could mean two", () => {
    const double = { ...other.verifier, name: log.verifier.name, keyId: log.verifier.keyId };
    refuses("ERR_TLOG_VKEY", () => verifyNote(note, [log.verifier, double]));
    refuses("ERR_TLOG_VKEY", () => verifyNote(note, [double, log.verifier]));
  });

  it("verifies ECDSA P-256 with SHA-256, and refuses other signatures in its place", () => {
    const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
    const key = createVerifierKey({ name: "rekor.example", type: SIGNATURE_TYPE.ecdsa, publicKey });
    const signer: NoteSigner = { ...key, sign: (message) => sign("sha256", message, privateKey) };
    const signed = signNote(body, [signer]);
    assert.equal(verifyNote(signed, [key]).verified[0]?.type, SIGNATURE_TYPE.ecdsa);
    refuses("ERR_TLOG_NOTE_SIGNATURE", () => verifyNote(signed.replace("first", "First"), [key]));
    // All-zero, empty-integer and malformed DER: what once passed in other verifiers.
    for (const hex of [
      "3006020100020100",
      "30060200020100",
      "3000",
      "00",
      "ff".repeat(72),
      "00".repeat(64),
    ]) {
      const forged = encodeSignatureLine({ ...key, signature: Buffer.from(hex, "hex") });
      refuses("ERR_TLOG_NOTE_SIGNATURE", () => verifyNote(`${body}\n${forged}`, [key]));
    }
  });
});

describe("parseNote()", () => {
  it("splits at the last empty line", () => {
    for (const text of ["a\n", "\n", "a\n\n", "a\n\nb\n", "a\n\n\n\n", "\u2014 x YWJjZGU=\n"]) {
      const signed = signNote(text, [log.signer]);
      assert.equal(parseNote(signed).body, text);
      assert.equal(verifyNote(signed, [log.verifier]).body, text);
    }
  });

  it("refuses what has not the form of a note", () => {
    const malformed = [
      "",
      "\n",
      "\n\n",
      body,
      `${body}\n`,
      line,
      `x${line}`,
      note.slice(0, -1),
      note.replace("\n\n\u2014", "\n\u2014"),
      `${note}\n`,
      `${note}trailing`,
      note.replace("\u2014", "-"),
      note.replace("\u2014 ", "\u2014"),
      note.replace("\u2014 ", "\u2014  "),
      note.replace("log.example ", "log.example  "),
      note.replace("log.example ", " "),
      note.replace("log.example", "log+example"),
      note.replace("log.example", "log\u00a0example"),
      note.replace("=\n", "= \n"),
      note.replace("=\n", "\n"),
      note.replace(/ [^ ]+\n$/, " \n"),
      note.replace(/ [^ ]+\n$/, "\n"),
      // Four bytes are a key id without a signature.
      note.replace(/ [^ ]+\n$/, " AAAAAA==\n"),
      // Spare bits set, other alphabet, missing padding.
      note.replace(/ [^ ]+\n$/, " AAAAAAE=\n".replace("E=", "F=")),
      note.replace(/ [^ ]+\n$/, " AAAA-_8=\n"),
      note.replace(/ [^ ]+\n$/, " AAAAAAE\n"),
    ];
    for (const text of malformed) refuses("ERR_TLOG_NOTE_MALFORMED", () => parseNote(text));
    assert.equal(
      parseNote(note.replace(/ [^ ]+\n$/, " AAAAAAE=\n")).signatures[0]?.signature.length,
      1,
    );
  });

  it("refuses control characters, and bytes or strings that are no UTF-8", () => {
    for (let code = 0; code < 0x20; code++)
      if (code !== 0x0a)
        refuses(
          "ERR_TLOG_NOTE_MALFORMED",
          () => parseNote(note.replace("first", String.fromCharCode(code))),
          /control/,
        );
    assert.equal(parseNote(note.replace("first", "\u007f\u0085")).signatures.length, 1);
    refuses("ERR_TLOG_NOTE_MALFORMED", () => parseNote(note.replace("first", "\ud800")), /UTF-8/);
    for (const bytes of [
      [0xff],
      [0xc0, 0x80],
      [0xed, 0xa0, 0x80],
      [0xf4, 0x90, 0x80, 0x80],
      [0xe2, 0x80],
    ])
      refuses(
        "ERR_TLOG_NOTE_MALFORMED",
        () => parseNote(Buffer.concat([Buffer.from(bytes), Buffer.from(note)])),
        /UTF-8/,
      );
  });

  it("does not take a byte order mark away: it is part of what was signed", () => {
    const marked = Buffer.concat([Buffer.from([0xef, 0xbb, 0xbf]), Buffer.from(note)]);
    assert.equal(parseNote(marked).body, `\ufeff${body}`);
    refuses("ERR_TLOG_NOTE_SIGNATURE", () => verifyNote(marked, [log.verifier]));
  });

  it("accepts 100 signatures and refuses 101", () => {
    const full = `${body}\n${line.repeat(MAX_NOTE_SIGNATURES)}`;
    assert.equal(parseNote(full).signatures.length, 100);
    refuses("ERR_TLOG_NOTE_MALFORMED", () => parseNote(full + line), /too many/);
  });

  it("accepts a note of 1 MiB and refuses one byte more, in bytes and not in characters", () => {
    const filler = "x".repeat(MAX_NOTE_BYTES - line.length - 2 - Buffer.byteLength("\u2014") + 1);
    const largest = `${filler}\n\n${line}`;
    assert.equal(Buffer.byteLength(largest), MAX_NOTE_BYTES);
    assert.equal(parseNote(largest).signatures.length, 1);
    refuses("ERR_TLOG_NOTE_MALFORMED", () => parseNote(`x${largest}`), /too long/);
    refuses("ERR_TLOG_NOTE_MALFORMED", () => parseNote(Buffer.from(`x${largest}`)), /too long/);
    refuses("ERR_TLOG_NOTE_MALFORMED", () => parseNote(largest.replace("x", "\u00e9")), /too long/);
  });

  it("never answers with anything but its own error, and reads only what is written so", () => {
    const put = fc.oneof(
      fc.string({ unit: "binary", maxLength: 3 }),
      fc.constantFrom("\n", "\n\n", "\u2014 ", line),
    );
    fc.assert(
      fc.property(fc.nat(note.length), fc.nat(4), put, (at, cut, text) => {
        const changed = note.slice(0, at) + text + note.slice(at + cut);
        const parsed = survives(() => parseNote(changed));
        survives(() => verifyNote(changed, [log.verifier]));
        if (parsed === undefined) return;
        assert.equal(
          `${parsed.body}\n${parsed.signatures.map(encodeSignatureLine).join("")}`,
          changed,
        );
      }),
      { numRuns: 1000 },
    );
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 60 }),
        (bytes) => void survives(() => parseNote(bytes)),
      ),
    );
  });
});

describe("signNote()", () => {
  it("signs as the format says: the body with its newline", () => {
    const { publicKey } = log.verifier;
    assert.equal(publicKey.asymmetricKeyType, "ed25519");
    assert.equal(
      note,
      `${body}\n${encodeSignatureLine({ ...log.verifier, signature: log.signer.sign(Buffer.from(body)) })}`,
    );
  });

  it("calls the signer as a method, so that a signer may be an object with state", () => {
    class Counting implements NoteSigner {
      readonly name = log.signer.name;
      readonly keyId = log.signer.keyId;
      readonly type = log.signer.type;
      #calls = 0;
      sign(message: Uint8Array): Buffer {
        this.#calls += 1;
        return log.signer.sign(message);
      }
      get calls(): number {
        return this.#calls;
      }
    }
    const signer = new Counting();
    assert.equal(signNote(body, [signer]), note);
    assert.equal(signer.calls, 1);
  });

  it("refuses bodies that a reader would refuse", () => {
    for (const text of [
      "",
      "no newline",
      "\n\ttab\n",
      "\ud800\n",
      `${"x".repeat(MAX_NOTE_BYTES)}\n`,
    ])
      refuses("ERR_TLOG_NOTE_MALFORMED", () => signNote(text, [log.signer]));
    refuses(
      "ERR_TLOG_NOTE_MALFORMED",
      () => signNote(`${"x".repeat(MAX_NOTE_BYTES - 1)}\n`, [log.signer]),
      /too long/,
    );
  });

  it("refuses a body that would make the signature a cosignature", () => {
    refuses(
      "ERR_TLOG_NOTE_MALFORMED",
      () => signNote("cosignature/v1\ntime 1\nlog\n1\n\n", [log.signer]),
      /cosignature/,
    );
    assert.ok(signNote("cosignature/v2\n", [log.signer]));
  });

  it("refuses what a signer gives if a reader would refuse it or read it as something else", () => {
    const { signer } = log;
    for (const wrong of [
      { name: "" },
      { name: "a b" },
      { name: "log.example AAAAAAE=\n\u2014 other.example" },
      { keyId: -1 },
      { keyId: 2 ** 32 },
      { keyId: 0.5 },
      { keyId: Number.NaN },
      { sign: () => Buffer.alloc(0) },
    ])
      refuses("ERR_TLOG_NOTE_MALFORMED", () => signNote(body, [{ ...signer, ...wrong }]));
    for (const keyId of [0, 2 ** 32 - 1])
      assert.equal(parseNote(signNote(body, [{ ...signer, keyId }])).signatures[0]?.keyId, keyId);
  });

  it("refuses no signers, too many, and cosigners", () => {
    refuses("ERR_TLOG_NOTE_MALFORMED", () => signNote(body, []));
    const many = Array.from({ length: MAX_NOTE_SIGNATURES + 1 }, () => log.signer);
    refuses("ERR_TLOG_NOTE_MALFORMED", () => signNote(body, many));
    assert.equal(labels(signNote(body, many.slice(1))).length, 100);
    refuses("ERR_TLOG_COSIGNATURE", () =>
      signNote(body, [log.signer, witnessKey("w.example", 4).signer]),
    );
  });
});

describe("signLine()", () => {
  it("gives the line that signNote() writes", () => {
    assert.equal(signLine(body, log.signer), line);
    assert.equal(note + signLine(body, other.signer), signNote(body, [log.signer, other.signer]));
  });

  it("refuses the bodies and signers that signNote() refuses", () => {
    for (const text of ["", "no newline", "\n\ttab\n", "cosignature/v1\ntime 1\nlog\n1\n\n"])
      refuses("ERR_TLOG_NOTE_MALFORMED", () => signLine(text, log.signer));
    for (const wrong of [{ name: "a b" }, { keyId: -1 }, { sign: () => Buffer.alloc(0) }])
      refuses("ERR_TLOG_NOTE_MALFORMED", () => signLine(body, { ...log.signer, ...wrong }));
    refuses("ERR_TLOG_COSIGNATURE", () => signLine(body, witnessKey("w.example", 4).signer));
  });
});

describe("addSignature()", () => {
  const second = signNote(body, [other.signer]).slice(body.length + 1);
  const third = signNote(body, [stranger.signer]).slice(body.length + 1);

  it("adds lines at the end and changes nothing else", () => {
    assert.equal(addSignature(note, second), note + second);
    assert.equal(addSignature(note, second + third), note + second + third);
  });

  it("puts a new line of a key in place of the old one", () => {
    const fresh = encodeSignatureLine({ ...other.verifier, signature: Buffer.from("fresh") });
    assert.equal(addSignature(note + second + third, fresh), note + third + fresh);
    assert.equal(addSignature(note, line), note);
    assert.equal(addSignature(note + second, fresh + third), note + fresh + third);
  });

  it("refuses a malformed note or line, and one more than a note may have", () => {
    for (const wrong of [
      "",
      "\n",
      second.slice(0, -1),
      `${second}\n`,
      `x${second}`,
      second.replace("other", "\u0007"),
    ])
      refuses("ERR_TLOG_NOTE_MALFORMED", () => addSignature(note, wrong));
    refuses("ERR_TLOG_NOTE_MALFORMED", () => addSignature(body, second));
    const full = `${body}\n${line.repeat(MAX_NOTE_SIGNATURES)}`;
    refuses("ERR_TLOG_NOTE_MALFORMED", () => addSignature(full, second), /1 to 100/);
  });
});
