import assert from "node:assert/strict";
import { test } from "node:test";
import { basePort, dataFolder, typedIn } from "./place.ts";

const code = (expected: string) => (error: unknown) =>
  error instanceof Error && "code" in error && error.code === expected;

test("the data folder is the flag's, then the environment's, then .redoubt where the command was typed", () => {
  const env = { REDOUBT_DATA: "/srv/env" };
  assert.equal(dataFolder("/srv/flag", env, "/home/a"), "/srv/flag");
  assert.equal(dataFolder(undefined, env, "/home/a"), "/srv/env");
  assert.equal(dataFolder(undefined, {}, "/home/a"), "/home/a/.redoubt");
});

test("a relative data folder starts where npm was called, not in the package's folder", () => {
  assert.equal(dataFolder("data", { INIT_CWD: "/home/a" }, "/repo"), "/home/a/data");
  assert.equal(dataFolder("../data", { INIT_CWD: "/home/a" }, "/repo"), "/home/data");
  assert.equal(dataFolder(undefined, { INIT_CWD: "/home/a" }, "/repo"), "/home/a/.redoubt");
  assert.equal(typedIn({ INIT_CWD: "/home/a" }, "/repo"), "/home/a");
  assert.equal(typedIn({}, "/repo"), "/repo");
});

test("a name of the data folder has one form", () => {
  assert.equal(dataFolder("/srv/redoubt/", {}, "/"), "/srv/redoubt");
  assert.equal(dataFolder("/srv/./x/../redoubt", {}, "/"), "/srv/redoubt");
});

test("an empty variable is none, an empty flag is a mistake: neither means the working folder", () => {
  const env = { REDOUBT_DATA: "", REDOUBT_PORT: "", INIT_CWD: "" };
  assert.equal(dataFolder(undefined, env, "/home/a"), "/home/a/.redoubt");
  assert.equal(basePort(undefined, env), undefined);
  assert.throws(() => dataFolder("", {}, "/home/a"), code("ERR_DATA_FOLDER"));
});

test("the port is the flag's, then the environment's, then nobody's", () => {
  assert.equal(basePort("7500", { REDOUBT_PORT: "7600" }), 7500);
  assert.equal(basePort(undefined, { REDOUBT_PORT: "7600" }), 7600);
  assert.equal(basePort(undefined, {}), undefined);
});

test("a port lies between 1024 and 65530, so that all five exist", () => {
  assert.equal(basePort("1024", {}), 1024);
  assert.equal(basePort("65530", {}), 65_530);
  for (const text of [
    "1023",
    "65531",
    "0",
    "",
    " 7400",
    "7400x",
    "0x1d00",
    "7.4e3",
    "-7400",
    "074000",
  ])
    assert.throws(() => basePort(text === "" ? " " : text, {}), code("ERR_PORT"), text);
});
