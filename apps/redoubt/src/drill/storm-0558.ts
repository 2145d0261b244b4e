import { EXIT } from "../command.ts";
import { Operator } from "../operator.ts";
import type { Settings } from "../settings.ts";
import type { Terminal } from "../terminal.ts";
import { isGood, outcomeLine, type Outcome } from "./outcome.ts";
import { closeScene, openScene, type Scene } from "./scene.ts";
import { threat01 } from "./threat-01.ts";
import { threat02 } from "./threat-02.ts";
import { threat03 } from "./threat-03.ts";
import { threat04 } from "./threat-04.ts";

type Threat = (scene: Scene) => AsyncGenerator<Outcome>;

const THREATS: readonly Threat[] = [threat01, threat02, threat04, threat03];

/**
 * Attacks the running system the way it was done in 2023, and reads the alarms back.
 * Exit code 0 only if something was tried, every attempt was stopped or alarmed, and every control accepted.
 */
export async function drillStorm0558(
  folder: string,
  settings: Settings,
  terminal: Terminal,
): Promise<number> {
  await using operator = new Operator(folder, settings);
  const scene = await openScene(operator, settings);
  let attempts = 0;
  let failures = 0;
  try {
    for (const threat of THREATS)
      for await (const outcome of threat(scene)) {
        if (!outcome.control) attempts += 1;
        if (!isGood(outcome)) failures += 1;
        terminal.line({ json: outcome, text: outcomeLine(outcome) });
      }
  } finally {
    await closeScene(scene);
  }
  terminal.notice(`${attempts} attempts, ${failures} not stopped or wrongly refused`);
  return attempts > 0 && failures === 0 ? EXIT.ok : EXIT.refused;
}
