import assert from "node:assert/strict";
import { inspect } from "node:util";
import { describe, it } from "node:test";
import { Secret } from "@redoubt/base";
import { certificateFiles, readDatabaseUrls } from "./database-urls.ts";
import { commandOf, withDatabase } from "./launch.ts";

const BOTH = ["consumer", "enterprise"];
const PASSWORD = "hunter2";

function urlsOf(
  environment: Readonly<Record<string, string>>,
  realms: readonly string[] = BOTH,
): Readonly<Record<string, string>> {
  const found = readDatabaseUrls(environment, realms);
  return Object.fromEntries([...found].map(([realm, url]) => [realm, url.reveal()]));
}

function files(text: string): readonly string[] {
  return certificateFiles(new Secret(text));
}

function refusal(
  environment: Readonly<Record<string, string>>,
  realms?: readonly string[],
): string {
  let message = "";
  assert.throws(
    () => urlsOf(environment, realms),
    (error) => {
      assert.ok(error instanceof Error && "code" in error);
      assert.equal(error.code, "ERR_OPTION");
      ({ message } = error);
      return true;
    },
  );
  assert.doesNotMatch(message, new RegExp(PASSWORD));
  return message;
}

describe("databases of issuers", () => {
  it("are files where nothing is said", () => {
    assert.deepEqual(urlsOf({}), {});
    assert.deepEqual(urlsOf({ REDOUBT_DATABASE_URL: "", REDOUBT_DATABASE_URL_CONSUMER: "" }), {});
  });

  it("are one for each realm by its name, wherever that stands", () => {
    assert.deepEqual(urlsOf({ REDOUBT_DATABASE_URL: "postgres://r:p@db/people_{realm}" }), {
      consumer: "postgres://r:p@db/people_consumer",
      enterprise: "postgres://r:p@db/people_enterprise",
    });
    assert.deepEqual(urlsOf({ REDOUBT_DATABASE_URL: "postgresql://{realm}:p@db/{realm}?a=b" }), {
      consumer: "postgresql://consumer:p@db/consumer?a=b",
      enterprise: "postgresql://enterprise:p@db/enterprise?a=b",
    });
  });

  it("are said for one realm before what is said for all, or alone", () => {
    const REDOUBT_DATABASE_URL_ENTERPRISE = "postgres://r:p@other/people";
    assert.deepEqual(urlsOf({ REDOUBT_DATABASE_URL_ENTERPRISE }), {
      enterprise: REDOUBT_DATABASE_URL_ENTERPRISE,
    });
    const REDOUBT_DATABASE_URL = "postgres://r:p@db/{realm}";
    assert.deepEqual(urlsOf({ REDOUBT_DATABASE_URL, REDOUBT_DATABASE_URL_ENTERPRISE }), {
      consumer: "postgres://r:p@db/consumer",
      enterprise: REDOUBT_DATABASE_URL_ENTERPRISE,
    });
    assert.deepEqual(urlsOf({ REDOUBT_DATABASE_URL_MY_REALM: "postgres://db/x" }, ["my-realm"]), {
      "my-realm": "postgres://db/x",
    });
  });

  it("THREAT-34: are never one for two realms: ERR_OPTION says how it is done, and no password", () => {
    const url = `postgres://r:${PASSWORD}@db/people`;
    const message = refusal({ REDOUBT_DATABASE_URL: url });
    assert.match(message, /consumer and enterprise may not share a database: put \{realm\}/);
    refusal({ REDOUBT_DATABASE_URL_CONSUMER: url, REDOUBT_DATABASE_URL_ENTERPRISE: url });
    // One issuer on this machine has it for itself.
    assert.deepEqual(urlsOf({ REDOUBT_DATABASE_URL: url }, ["enterprise"]), { enterprise: url });
    assert.deepEqual(urlsOf({ REDOUBT_DATABASE_URL: url }, []), {});
  });

  it("are PostgreSQL's, with a name", () => {
    for (const url of [
      `mysql://r:${PASSWORD}@db/{realm}`,
      `postgres://r:${PASSWORD}@db`,
      `postgres://r:${PASSWORD}@db/`,
      `postgres://r:${PASSWORD}@db/{realm} x`,
      PASSWORD,
    ])
      assert.match(refusal({ REDOUBT_DATABASE_URL: url }), /^REDOUBT_DATABASE_URL must be a URL/);
  });

  it("print nothing, and are in the environment of their issuer, not among its arguments", () => {
    const text = `postgres://r:${PASSWORD}@db/x?sslmode=verify-full&sslrootcert=/etc/ca.pem`;
    const url = new Secret(text);
    assert.doesNotMatch(inspect(url), new RegExp(PASSWORD));
    const plain = commandOf("issuer-enterprise", "/nowhere");
    const { args, environment } = withDatabase(plain, url);
    assert.doesNotMatch(args.join(" "), new RegExp(PASSWORD));
    assert.deepEqual(args, ["--permission", "--allow-fs-read=/etc/ca.pem", ...plain.args.slice(1)]);
    assert.deepEqual(environment, { ...plain.environment, REDOUBT_DATABASE_URL: text });
  });

  it("name the files of a certificate that their issuer reads, or none", () => {
    assert.deepEqual(files("postgres://db/x"), []);
    assert.deepEqual(files("postgres://db/x?sslmode=verify-full"), []);
    assert.deepEqual(files("postgres://db/x?sslcert=%2Fa%20b&sslkey=/c&sslrootcert=/d"), [
      "/d",
      "/a b",
      "/c",
    ]);
  });
});
