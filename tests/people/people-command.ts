import assert from "node:assert/strict";
import { readDemo } from "@redoubt/cli";
import { parseJsonObject, type JsonObject } from "@redoubt/verify/json";
import type { Ending, System } from "../e2e/system.ts";

type Running = Pick<System, "folder" | "redoubt">;

/** Of the tenant whose people sign in at a system that was just made. */
export function peopleTenant({ folder }: Pick<System, "folder">): string {
  const demo = readDemo(folder).clients.find(({ realm }) => realm === "enterprise");
  assert.ok(demo);
  return demo.tenant;
}

/** `redoubt --json people …` */
export function runPeople(system: Running, ...args: readonly string[]): Promise<Ending> {
  return system.redoubt(["--json", "people", ...args, "--tenant", peopleTenant(system)]);
}

/** What the command says, which must succeed. */
export async function peopleSay(system: Running, ...args: readonly string[]): Promise<JsonObject> {
  const { code, stdout, stderr } = await runPeople(system, ...args);
  assert.equal(code, 0, stderr);
  return parseJsonObject(stdout);
}

export function textOf(value: unknown): string {
  assert.ok(typeof value === "string");
  return value;
}
