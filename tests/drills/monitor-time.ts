import { hash } from "node:crypto";
import type { Composed } from "./compose.ts";

/** Lets the monitor live through `seconds` of its own clock: it never counts a jump as time in which it looked. */
export async function monitorLives(
  { monitor, monitorClock }: Composed,
  seconds: number,
): Promise<void> {
  for (let i = 0; i < seconds; i += 1) {
    monitorClock.forward(1000);
    await monitor.tick();
  }
}

/** SHA-256 of a token's signing input: what logs and reports know it by. */
export function digestOf(token: string): string {
  return hash("sha256", token.slice(0, token.lastIndexOf(".")), "base64url");
}
