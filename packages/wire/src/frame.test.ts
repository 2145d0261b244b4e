import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { WireError } from "./errors.ts";
import {
  encodeFrame,
  FRAME_KIND,
  FrameReader,
  MAX_FRAME_BYTES,
  MAX_HEAD_BYTES,
  type Frame,
} from "./frame.ts";

/** A frame from its parts, whatever they say: what a hostile peer writes. */
function raw(parts: {
  readonly kind?: number;
  readonly head?: string;
  readonly length?: number;
  readonly headLength?: number;
  readonly attachment?: Buffer;
}): Buffer {
  const { kind = 1, head = "{}", attachment = Buffer.alloc(0) } = parts;
  const headBytes = Buffer.from(head, "utf8");
  const fixed = Buffer.alloc(13);
  fixed.writeUInt32BE(parts.length ?? 9 + headBytes.length + attachment.length, 0);
  fixed.writeUInt8(kind, 4);
  fixed.writeUInt32BE(7, 5);
  fixed.writeUInt32BE(parts.headLength ?? headBytes.length, 9);
  return Buffer.concat([fixed, headBytes, attachment]);
}

function read(bytes: Buffer, max?: number): Frame[] {
  return new FrameReader(max).push(bytes);
}

const stream = Buffer.concat([
  encodeFrame(FRAME_KIND.request, 1, { op: "a", text: "ü\u{1f600}" }, Buffer.of(1, 2, 3)),
  encodeFrame(FRAME_KIND.notice, 0, {}),
  encodeFrame(FRAME_KIND.response, 0xffff_ffff, { list: [1, null, true] }),
  encodeFrame(FRAME_KIND.error, 2, { code: "ERR_X", message: "no" }, Buffer.alloc(40, 7)),
]);
const whole = read(stream);

describe("frames", () => {
  it("give back what was written", () => {
    assert.deepEqual(
      whole.map(({ kind, id, head, attachment }) => [kind, id, { ...head }, attachment.length]),
      [
        [1, 1, { op: "a", text: "ü\u{1f600}" }, 3],
        [4, 0, {}, 0],
        [2, 0xffff_ffff, { list: [1, null, true] }, 0],
        [3, 2, { code: "ERR_X", message: "no" }, 40],
      ],
    );
    assert.deepEqual([...(whole[0]?.attachment ?? [])], [1, 2, 3]);
  });

  it("are the same for every split in two and in single bytes", () => {
    for (let at = 0; at <= stream.length; at += 1) {
      const reader = new FrameReader();
      const first = reader.push(stream.subarray(0, at));
      assert.deepEqual([...first, ...reader.push(stream.subarray(at))], whole, String(at));
      assert.equal(reader.keptBytes, 0);
    }
    const reader = new FrameReader();
    const single = [...stream].flatMap((byte) => reader.push(Buffer.of(byte)));
    assert.deepEqual(single, whole);
  });

  it("are the same for every partition of the stream", () => {
    const cuts = fc.array(fc.nat({ max: stream.length }), { maxLength: 12 });
    fc.assert(
      fc.property(cuts, (places) => {
        const sorted = [0, ...places.toSorted((a, b) => a - b), stream.length];
        const reader = new FrameReader();
        const frames = sorted.flatMap((from, i) =>
          reader.push(stream.subarray(from, sorted[i + 1])),
        );
        assert.deepEqual(frames, whole);
      }),
    );
  });

  it("keep their content when the chunk that they came in is reused", () => {
    const reader = new FrameReader();
    const chunk = Buffer.from(stream.subarray(0, 10));
    reader.push(chunk);
    chunk.fill(0);
    assert.deepEqual(reader.push(stream.subarray(10)), whole);
  });

  it("round trip any head and attachment", () => {
    const heads = fc.dictionary(
      fc.stringMatching(/^[a-zA-Z]{1,10}$/),
      fc.string({ unit: "binary" }),
    );
    fc.assert(
      fc.property(heads, fc.uint8Array({ maxLength: 300 }), fc.nat(), (head, attachment, id) => {
        const [frame, ...more] = read(encodeFrame(FRAME_KIND.request, id, head, attachment));
        assert.equal(more.length, 0);
        assert.deepEqual({ ...frame?.head }, { ...head });
        assert.deepEqual(frame?.attachment, Buffer.from(attachment));
        assert.equal(frame?.id, id);
      }),
    );
  });
});

describe("THREAT-26: a hostile stream", () => {
  it("throws nothing but WireError for random bytes", () => {
    let refused = 0;
    const length = fc.integer({ min: 0, max: 40 });
    const bytes = fc.tuple(length, fc.uint8Array({ maxLength: 60 })).map(([announced, rest]) => {
      return Buffer.concat([Buffer.of(0, 0, 0, announced), rest]);
    });
    fc.assert(
      fc.property(
        fc.oneof(
          bytes,
          fc.uint8Array({ maxLength: 60 }).map((b) => Buffer.from(b)),
        ),
        (b) => {
          try {
            read(b);
          } catch (error) {
            assert.ok(error instanceof WireError);
            refused += 1;
          }
        },
      ),
    );
    assert.ok(refused > 10);
  });

  it("throws nothing but WireError for a good stream with one changed byte", () => {
    for (let at = 0; at < stream.length; at += 1)
      for (const flip of [0x01, 0x80, 0xff]) {
        const bytes = Buffer.from(stream);
        bytes.writeUInt8(bytes.readUInt8(at) ^ flip, at);
        try {
          read(bytes);
        } catch (error) {
          assert.ok(error instanceof WireError, String(at));
        }
      }
  });

  const refused = [
    ["length below the fixed part", raw({ length: 8 }), "ERR_WIRE_FRAME"],
    ["length 0", raw({ length: 0 }), "ERR_WIRE_FRAME"],
    ["length over the limit", raw({ length: MAX_FRAME_BYTES + 1 }), "ERR_WIRE_TOO_LARGE"],
    ["the largest length", raw({ length: 0xffff_ffff }), "ERR_WIRE_TOO_LARGE"],
    ["kind 0", raw({ kind: 0 }), "ERR_WIRE_FRAME"],
    ["kind 5", raw({ kind: 5 }), "ERR_WIRE_FRAME"],
    ["kind 255", raw({ kind: 255 }), "ERR_WIRE_FRAME"],
    ["head longer than the frame", raw({ headLength: 3 }), "ERR_WIRE_FRAME"],
    ["the largest head length", raw({ headLength: 0xffff_ffff }), "ERR_WIRE_FRAME"],
    ["an empty head", raw({ head: "" }), "ERR_WIRE_FRAME"],
    ["a head that is no object", raw({ head: "[]" }), "ERR_WIRE_FRAME"],
    ["a head with a duplicate", raw({ head: '{"a":1,"a":2}' }), "ERR_WIRE_FRAME"],
    ["a head with __proto__", raw({ head: '{"__proto__":{}}' }), "ERR_WIRE_FRAME"],
    ["a head with an escaped name", raw({ head: '{"\\u006fp":1}' }), "ERR_WIRE_FRAME"],
    ["a head that ends early", raw({ head: '{"a":1' }), "ERR_WIRE_FRAME"],
    [
      "a head that is too deep",
      raw({ head: `{"a":${"[".repeat(8)}${"]".repeat(8)}}` }),
      "ERR_WIRE_FRAME",
    ],
    ["a head cut inside a character", raw({ head: '{"a":"ü"}', headLength: 7 }), "ERR_WIRE_FRAME"],
  ] as const;
  for (const [what, bytes, code] of refused)
    it(`is refused for ${what}`, () => {
      assert.throws(() => read(bytes), { name: "WireError", code });
    });

  it("is read at the bounds of depth, head and frame", () => {
    assert.equal(read(raw({ head: `{"a":${"[".repeat(7)}${"]".repeat(7)}}` })).length, 1);
    const head = { a: "x".repeat(MAX_HEAD_BYTES - 8) };
    assert.equal(read(encodeFrame(1, 1, head)).length, 1);
    const room = MAX_FRAME_BYTES - 9 - 2;
    assert.equal(read(encodeFrame(1, 1, {}, Buffer.alloc(room))).length, 1);
    const longHead = `{"a":"${"x".repeat(MAX_HEAD_BYTES - 7)}"}`;
    assert.throws(() => read(raw({ head: longHead })), { code: "ERR_WIRE_FRAME" });
  });

  it("is held to the lower limit of its socket", () => {
    assert.equal(read(raw({}), 11).length, 1);
    assert.throws(() => read(raw({ attachment: Buffer.alloc(1) }), 11), {
      code: "ERR_WIRE_TOO_LARGE",
    });
  });

  it("is refused as soon as its length is known", () => {
    const reader = new FrameReader();
    reader.push(Buffer.of(0xff, 0xff, 0xff));
    assert.throws(() => reader.push(Buffer.of(0xff)), { code: "ERR_WIRE_TOO_LARGE" });
  });

  it("makes the reader hold at most twice what has come, however slowly a huge frame comes", () => {
    const reader = new FrameReader();
    const announced = raw({ length: MAX_FRAME_BYTES }).subarray(0, 13);
    reader.push(announced);
    let sent = announced.length;
    const before = process.memoryUsage();
    for (const step of [1, 1, 1000])
      for (let i = 0; i < 3000; i += 1) {
        assert.deepEqual(reader.push(Buffer.alloc(step)), []);
        sent += step;
        assert.ok(reader.keptBytes >= sent && reader.keptBytes <= 2 * sent, String(sent));
      }
    assert.ok(process.memoryUsage().rss - before.rss < 64 * 1024 * 1024);
  });
});

describe("encodeFrame", () => {
  it("refuses a head or a frame over the limit", () => {
    const code = { name: "WireError", code: "ERR_WIRE_TOO_LARGE" };
    assert.throws(() => encodeFrame(1, 1, { a: "x".repeat(MAX_HEAD_BYTES - 7) }), code);
    assert.throws(() => encodeFrame(1, 1, {}, Buffer.alloc(MAX_FRAME_BYTES - 10)), code);
  });

  it("never writes half a surrogate pair, which the other side would refuse", () => {
    const [frame] = read(encodeFrame(1, 1, { message: "cut \u{1f600}".slice(0, 5), path: "\\ud" }));
    assert.deepEqual({ ...frame?.head }, { message: "cut \ufffd", path: "\\ud" });
  });
});
