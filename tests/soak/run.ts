// Fifty rounds of kill -9 under load (or as many as the first argument says), with what it found at the end.
import { startSystem } from "../e2e/system.ts";
import { killLoop } from "./kill-loop.ts";

const rounds = Number(process.argv[2] ?? 50);
await using system = await startSystem();
const result = await killLoop(system, rounds, (line) => console.log(line));
const { missing, ...figures } = result;
console.log(JSON.stringify({ ...figures, missing: missing.length }));
if (missing.length > 0 || result.rounds === 0 || result.tokens === 0) process.exitCode = 1;
