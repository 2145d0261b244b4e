import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { ConfigReader, configError } from "./config-reader.ts";
import { errorLine, ServiceError } from "./errors.ts";

interface Sample {
  readonly port: number;
  readonly name: string;
  readonly tenant: string | null;
}

const GOOD = { v: 1, port: 1, name: "n", tenant: null };

function readSample(json: ConstructorParameters<typeof ConfigReader>[0]): Sample {
  const config = new ConfigReader(json, "sample");
  return config.finish<Sample>({
    port: config.attempt((from) => from.integer("port", 0, 9)),
    name: config.attempt((from) => from.string("name", 4)),
    tenant: config.attempt((from) => (from.isNull("tenant") ? null : from.string("tenant", 4))),
  });
}

function problemsOf(json: Parameters<typeof readSample>[0]): string[] {
  try {
    readSample(json);
  } catch (error) {
    assert.ok(error instanceof ServiceError);
    assert.equal(error.code, "ERR_CONFIG");
    return errorLine(error).split("; ");
  }
  return [];
}

describe("ConfigReader", () => {
  it("reads the whole form, from bytes and from an object", () => {
    const { v: _, ...expected } = GOOD;
    assert.deepEqual(readSample(GOOD), expected);
    assert.deepEqual(readSample(Buffer.from(JSON.stringify(GOOD))), expected);
  });

  it("names each single problem", () => {
    const wrong: readonly (readonly [object, string])[] = [
      [{ v: 2 }, "sample: v must be an integer of 1 to 1"],
      [{ port: 10 }, "sample: port must be an integer of 0 to 9"],
      [{ name: "" }, "sample: name must be a string of 1 to 4 characters"],
      [{ tenant: 1 }, "sample: tenant must be a string of 1 to 4 characters"],
      [{ unsafe: true }, "sample: unknown member unsafe"],
    ];
    for (const [change, problem] of wrong)
      assert.deepEqual(problemsOf({ ...GOOD, ...change }), [problem]);
    for (const name of Object.keys(GOOD)) {
      const { [name]: _, ...rest }: Record<string, number | string | null> = GOOD;
      assert.match(problemsOf(rest).join(), new RegExp(`^sample: ${name} must be [^;]+$`));
    }
  });

  it("names all problems at once, in the order of reading", () => {
    const found = problemsOf({ port: "x", name: 1, tenant: false, more: 1 });
    assert.deepEqual(
      found.map((problem) => /: (?:unknown member )?([a-z]+)/.exec(problem)?.[1]),
      ["v", "port", "name", "tenant", "more"],
    );
  });

  it("takes problems of meaning among those of form", () => {
    const config = new ConfigReader(GOOD, "sample");
    const port = config.attempt((from) => from.integer("port", 0, 9));
    config.attempt(() => {
      throw configError("sample: port is taken");
    });
    assert.throws(() => config.finish({ port }), {
      code: "ERR_CONFIG",
      message: "sample: port is taken; sample: unknown member name",
    });
  });

  it("says at once, and with the reason, that something is no JSON object", () => {
    for (const text of ["", "[]", "{", '{"v":1,"v":1}', "null"])
      assert.match(problemsOf(Buffer.from(text)).join(), /^sample: not a strict JSON object: ./);
  });

  it("a part left undefined without a problem is a mistake of ours, never a configuration", () => {
    const config = new ConfigReader({ v: 1 }, "sample");
    assert.throws(() => config.finish<{ a: number }>({ a: undefined }), TypeError);
  });

  it("never throws anything but its own error", () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 100 }), (x) => problemsOf(x).length > 0));
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.jsonValue()), (value) => {
        assert.notEqual(problemsOf(Buffer.from(JSON.stringify(value))).length, 0);
      }),
    );
  });
});
