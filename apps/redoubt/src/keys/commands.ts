import { join } from "node:path";
import { errorLine, nowSeconds, readPrivateFile, systemClock } from "@redoubt/base";
import type { LifeCyclePolicy } from "@redoubt/keys";
import { parseConfig } from "@redoubt/signer";
import { EXIT, type CommandContext } from "../command.ts";
import { REALMS } from "../layout.ts";
import { Operator } from "../operator.ts";
import { enterRunning } from "../running.ts";
import { disagreements, keyTable, listKeys, parseSignerKeys, type PolicyOf } from "./key-list.ts";

export async function keysList(
  { folder, terminal }: CommandContext,
  { all = false }: { readonly all?: boolean },
): Promise<number> {
  const { settings } = await enterRunning(folder);
  await using operator = new Operator("", settings);
  const signers = await readSigners(operator, (line) => terminal.notice(line));
  // After the signers: what they tell is then never newer than the registry below.
  const registry = await operator.readRegistry();
  const keys = listKeys(registry, signers, readPolicies(), all);
  for (const { kid, state, signer } of disagreements(keys))
    terminal.notice(`Key ${kid} is ${state} in the registry and ${signer} in the signer`);
  terminal.result({ json: keys, text: keyTable(keys, nowSeconds(systemClock)) });
  return EXIT.ok;
}

async function readSigners(
  operator: Operator,
  notice: (line: string) => void,
): Promise<ReadonlyMap<string, string>> {
  const all = new Map<string, string>();
  for (const realm of REALMS) {
    try {
      const answer = await operator.ask(`signer-${realm}`, { op: "fetchKeys" });
      for (const [kid, state] of parseSignerKeys(answer)) all.set(kid, state);
    } catch (error) {
      // The registry alone answers the question; that a signer is away must be seen, not stop the answer.
      notice(`Signer of realm ${realm} does not answer: ${errorLine(error)}`);
    }
  }
  return all;
}

function readPolicies(): PolicyOf {
  const policies = new Map<string, LifeCyclePolicy>();
  for (const realm of REALMS) {
    const config = parseConfig(readPrivateFile(join(`signer-${realm}`, "config.json")));
    for (const ring of config.rings) policies.set(`${realm} ${ring.class}`, ring);
  }
  return (realm, tokenClass) => policies.get(`${realm} ${tokenClass}`);
}
