// Holds the strict JSON reader against an independent one: 400 000 documents, or as many as the first argument says,
// with the seed of the second argument or a new one.
import { randomInt } from "node:crypto";
import { compareJsonReaders } from "../../packages/verify/src/testing/json-differential.ts";

const count = Number(process.argv[2] ?? 400_000);
const seed = Number(process.argv[3] ?? randomInt(1, 2 ** 32));
const { accepted, refused, differences } = compareJsonReaders(count, seed);
const summary = JSON.stringify({ seed, accepted, refused, differences: differences.length });
process.stdout.write(`${[summary, ...differences.slice(0, 20)].join("\n")}\n`);
if (accepted === 0 || refused === 0 || differences.length > 0) process.exitCode = 1;
