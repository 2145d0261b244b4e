import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { checkSigV4, type SigV4Expected, type SignedRequest } from "./sigv4.ts";

// The Signature Version 4 test suite of AWS, as in awslabs/aws-c-auth, tests/aws-signing-test-suite/v4: the files
// header-signed-request.txt of the folders named below; get-vanilla as in the copy of the suite that was at
// docs.aws.amazon.com/general/latest/gr/signature-v4-test-suite.html.
const SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
const TOKEN = "6e86291e8372ff2a2260956d9b8aae1d763fbf315fa00fa31553b73ebf194267";
const AT_MS = Date.UTC(2015, 7, 30, 12, 36, 0);

interface Vector {
  readonly name: string;
  readonly method?: string;
  readonly target?: string;
  readonly headers?: readonly (readonly [string, string])[];
  readonly body?: string;
  readonly sessionToken?: string;
  readonly signedHeaders: string;
  readonly signature: string;
}

const VECTORS: readonly Vector[] = [
  {
    name: "get-vanilla",
    signedHeaders: "host;x-amz-date",
    signature: "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
  },
  {
    name: "post-vanilla",
    method: "POST",
    signedHeaders: "host;x-amz-date",
    signature: "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b",
  },
  {
    name: "get-vanilla-query-order-key-case",
    target: "/?Param2=value2&Param1=value1",
    signedHeaders: "host;x-amz-date",
    signature: "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
  },
  {
    name: "get-vanilla-with-session-token",
    headers: [["X-Amz-Security-Token", TOKEN]],
    sessionToken: TOKEN,
    signedHeaders: "host;x-amz-date;x-amz-security-token",
    signature: "07ec1639c89043aa0e3e2de82b96708f198cceab042d4a97044c66dd9f74e7f8",
  },
  {
    name: "get-header-value-trim",
    headers: [
      ["My-Header1", " value1"],
      ["My-Header2", ' "a   b   c"'],
    ],
    signedHeaders: "host;my-header1;my-header2;x-amz-date",
    signature: "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736",
  },
  {
    name: "get-header-key-duplicate",
    headers: [
      ["My-Header1", "value2"],
      ["My-Header1", "value2"],
      ["My-Header1", "value1"],
    ],
    signedHeaders: "host;my-header1;x-amz-date",
    signature: "c9d5ea9f3f72853aea855b47ea873832890dbdd183b4468f858259531a5138ea",
  },
  {
    name: "post-x-www-form-urlencoded",
    method: "POST",
    headers: [
      ["Content-Type", "application/x-www-form-urlencoded"],
      ["Content-Length", "13"],
      ["x-amz-content-sha256", "9095672bbd1f56dfc5b65f3e153adc8731a4a654192329106275f4c7b24d0b6e"],
    ],
    body: "Param1=value1",
    signedHeaders: "content-length;content-type;host;x-amz-content-sha256;x-amz-date",
    signature: "d3875051da38690788ef43de4db0d8f280229d82040bfac253562e56c3f20e0b",
  },
];

function requestOf(vector: Vector): SignedRequest {
  const {
    method = "GET",
    target = "/",
    headers = [],
    body = "",
    signedHeaders,
    signature,
  } = vector;
  const credential = "AKIDEXAMPLE/20150830/us-east-1/service/aws4_request";
  const authorization = `AWS4-HMAC-SHA256 Credential=${credential}, SignedHeaders=${signedHeaders}, Signature=${signature}`;
  return {
    method,
    target,
    headers: [
      ["Host", "example.amazonaws.com"],
      ...headers,
      ["Authorization", authorization],
      ["X-Amz-Date", "20150830T123600Z"],
    ],
    body: Buffer.from(body),
  };
}

function expectedOf({ sessionToken }: Pick<Vector, "sessionToken">, nowMs = AT_MS): SigV4Expected {
  const secret = { secret: SECRET, ...(sessionToken !== undefined && { sessionToken }) };
  return {
    secrets: new Map([["AKIDEXAMPLE", secret]]),
    region: "us-east-1",
    service: "service",
    nowMs,
  };
}

function refuses(request: SignedRequest, expected: SigV4Expected, code: string): void {
  assert.throws(() => checkSigV4(request, expected), { name: "SigV4Error", code });
}

function withHeader(request: SignedRequest, name: string, change: (value: string) => string) {
  const headers = request.headers.map(([key, value]): [string, string] => [
    key,
    key.toLowerCase() === name ? change(value) : value,
  ]);
  return { ...request, headers };
}

describe("checkSigV4", () => {
  for (const vector of VECTORS)
    it(`takes ${vector.name} of the test suite, and no change of it`, () => {
      const request = requestOf(vector);
      const expected = expectedOf(vector);
      assert.equal(checkSigV4(request, expected), "AKIDEXAMPLE");
      const bad = "InvalidSignatureException";
      refuses({ ...request, method: "PUT" }, expected, bad);
      refuses({ ...request, target: "/?a=b" }, expected, bad);
      refuses({ ...request, target: "/a" }, expected, bad);
      refuses({ ...request, body: Buffer.from("other") }, expected, bad);
      for (const name of vector.signedHeaders.split(";").filter((each) => each !== "x-amz-date"))
        assert.throws(
          () =>
            checkSigV4(
              withHeader(request, name, (v) => `${v}1`),
              expected,
            ),
          {
            name: "SigV4Error",
          },
        );
      const secrets = new Map(
        [...expected.secrets].map(([id, secret]) => [id, { ...secret, secret: `${SECRET}1` }]),
      );
      refuses(request, { ...expected, secrets }, bad);
      refuses(request, { ...expected, region: "us-east-2" }, bad);
      refuses(request, { ...expected, service: "kms" }, bad);
    });

  const [vanilla] = VECTORS;
  assert.ok(vanilla);
  const request = requestOf(vanilla);
  const expected = expectedOf(vanilla);

  it("takes a clock that is off by five minutes, and no more", () => {
    for (const off of [-300_000, 300_000]) checkSigV4(request, expectedOf(vanilla, AT_MS + off));
    for (const off of [-300_001, 300_001])
      refuses(request, expectedOf(vanilla, AT_MS + off), "InvalidSignatureException");
  });

  it("refuses another day, no date, and a date that is none", () => {
    for (const date of ["20150831T123600Z", "", "2015-08-30"])
      refuses(
        withHeader(request, "x-amz-date", () => date),
        expected,
        "InvalidSignatureException",
      );
  });

  it("refuses an unknown access key and a session token that is not asked for", () => {
    refuses(request, { ...expected, secrets: new Map() }, "UnrecognizedClientException");
    refuses(request, expectedOf({ sessionToken: TOKEN }), "UnrecognizedClientException");
    const headers: SignedRequest["headers"] = [...request.headers, ["X-Amz-Security-Token", TOKEN]];
    refuses({ ...request, headers }, expected, "UnrecognizedClientException");
  });

  it("refuses what is malformed, and an X-Amz header that is not signed", () => {
    for (const value of ["", "AWS4-HMAC-SHA256", "Basic AAAA"])
      refuses(
        withHeader(request, "authorization", () => value),
        expected,
        "IncompleteSignatureException",
      );
    const headers: SignedRequest["headers"] = [...request.headers, ["X-Amz-Target", "a.B"]];
    refuses({ ...request, headers }, expected, "InvalidSignatureException");
  });
});
