import { errorCode, errorLine, nowSeconds, ServiceError, systemClock } from "@redoubt/base";
import { createRootKeyFile, openRootKeyFile } from "./root-key-file.ts";
import { combineRoots, parseRootKey, signRoot, type SignedRoot } from "@redoubt/registry";
import { KeyError } from "@redoubt/keys";
import { EXIT, fileArgument, type CommandContext } from "../command.ts";
import { confirm, type Questions } from "../keys/confirm.ts";
import { Operator } from "../operator.ts";
import { enterRunning } from "../running.ts";
import { printable } from "../table.ts";
import { draftRoot } from "./draft.ts";
import {
  readRootFile,
  readRootKey,
  refuseExisting,
  writePublicFile,
  writeRootFile,
} from "./files.ts";
import { newPassphrase, passphraseOf } from "./passphrase.ts";
import { publishRoot } from "./publish.ts";
import { rootConcerns, rootsLabel } from "./root-state.ts";
import { lines, rootJson, rootText } from "./root-text.ts";

/** P8 is not there yet: nothing proves that a person was present, and each answer says so. */
const PRESENCE = { presence: "none" } as const;
const PRESENCE_TEXT = "presence: none";

async function withOperator<T>(
  { folder }: CommandContext,
  work: (operator: Operator) => Promise<T>,
): Promise<T> {
  const { settings } = await enterRunning(folder);
  await using operator = new Operator("", settings);
  return await work(operator);
}

export interface KeyOptions {
  readonly name: string;
  readonly out: string;
  readonly passphraseFile?: string;
  readonly questions: Questions;
}

/** On the machine of whoever will hold the key: nothing of a running system is needed. */
export async function ceremonyKey(context: CommandContext, options: KeyOptions): Promise<number> {
  const out = fileArgument(context, options.out);
  const publicFile = `${out}.pub`;
  // Before anybody types a passphrase for nothing.
  for (const path of [out, publicFile]) refuseExisting(path);
  const file = options.passphraseFile;
  const passphrase = await newPassphrase(
    file === undefined ? undefined : fileArgument(context, file),
    options.questions,
  );
  const made = createRootKeyFile(out, options.name, passphrase);
  writePublicFile(publicFile, made);
  const { name, publicKey } = parseRootKey(made);
  context.terminal.result({
    json: { name, publicKey, sealed: out, public: publicFile, ...PRESENCE },
    text: [
      `Root key ${name}: ${publicKey}`,
      `sealed by the passphrase in  ${printable(out)}`,
      `public part in               ${printable(publicFile)}`,
      PRESENCE_TEXT,
      "Give away the public part alone. Read the key above out to the others, so that nobody swaps it.",
    ].join("\n"),
  });
  return EXIT.ok;
}

export interface DraftOptions {
  readonly keys: readonly string[];
  readonly threshold: number;
  readonly expires: number;
  readonly out: string;
}

export function ceremonyDraft(context: CommandContext, options: DraftOptions): Promise<number> {
  return orRefused(context, async () => {
    const out = fileArgument(context, options.out);
    refuseExisting(out);
    const keys = options.keys.map((path) => readRootKey(fileArgument(context, path)));
    const now = nowSeconds(systemClock);
    const { threshold, expires: lifeSeconds } = options;
    const root = await withOperator(context, async (operator) =>
      draftRoot(await operator.readRegistry(), { keys, threshold, lifeSeconds, nowSeconds: now }),
    );
    writeRootFile(out, root);
    told(context, root, { now, file: out, next: signHint(root) });
    return EXIT.ok;
  });
}

function signHint({ document }: SignedRoot): string {
  const before = document.version > 1 ? `, and keys of version ${document.version - 1}` : "";
  return `Next: ${document.threshold} or more of its keys sign it${before}: redoubt keys ceremony sign`;
}

export interface SignOptions {
  readonly key: string;
  readonly passphraseFile?: string;
  readonly yes?: boolean;
  readonly questions: Questions;
}

/** On the machine of whoever holds the key: nothing of a running system is needed. */
export function ceremonySign(
  context: CommandContext,
  name: string,
  options: SignOptions,
): Promise<number> {
  return orRefused(context, async () => {
    const { questions, passphraseFile: file } = options;
    const path = fileArgument(context, name);
    const root = combineRoots(readRootFile(path));
    const now = nowSeconds(systemClock);
    const { kind, version } = root.document;
    for (const line of lines(rootText(root, now))) context.terminal.notice(line);
    const key = fileArgument(context, options.key);
    if (options.yes !== true)
      await confirm(`Signing ${kind} root ${version} with ${printable(options.key)}`, questions);
    const passphrase = await passphraseOf(
      file === undefined ? undefined : fileArgument(context, file),
      `Passphrase of ${printable(options.key)}`,
      questions,
    );
    const signed = signRoot(root, openRootKeyFile(key, passphrase));
    writeRootFile(path, signed);
    told(context, signed, {
      now,
      file: path,
      next: "Next: others sign, or redoubt keys ceremony publish",
    });
    return EXIT.ok;
  });
}

/** Files that were signed apart are brought together first. */
export function ceremonyPublish(
  context: CommandContext,
  names: readonly string[],
): Promise<number> {
  return orRefused(context, async () => {
    const [first, ...others] = names.map((name) => readRootFile(fileArgument(context, name)));
    if (!first) throw new ServiceError("ERR_OPTION", "Name the file of the signed root");
    const root = combineRoots(first, ...others);
    const { index, isNew } = await withOperator(context, (operator) => publishRoot(operator, root));
    const { kind, version } = root.document;
    context.terminal.result({
      json: { published: isNew, index, ...rootJson(root), ...PRESENCE },
      text: [
        isNew
          ? `The registry has ${kind} root ${version} as entry ${index}`
          : `The registry has had ${kind} root ${version} as entry ${index} before`,
        `hash ${root.hash}`,
        PRESENCE_TEXT,
        "Note the hash where no attacker can change it: verifiers pin it.",
      ].join("\n"),
    });
    return EXIT.ok;
  });
}

/** The newest root of the running system, or what a file holds. */
export async function ceremonyShow(context: CommandContext, name?: string): Promise<number> {
  const now = nowSeconds(systemClock);
  if (name === undefined) return showNewest(context, now);
  return orRefused(context, () => {
    const root = combineRoots(readRootFile(fileArgument(context, name)));
    told(context, root, { now, file: name });
    return Promise.resolve(EXIT.ok);
  });
}

async function showNewest(context: CommandContext, now: number): Promise<number> {
  const { terminal } = context;
  const registry = await withOperator(context, (operator) => operator.readRegistry());
  const found = rootConcerns(registry, now);
  const chain = registry.roots.map(({ document, hash, index }) => ({
    version: document.version,
    hash,
    index,
  }));
  const newest = registry.roots.at(-1);
  for (const line of found) terminal.notice(line);
  terminal.result({
    json: {
      root: newest ? { index: newest.index, ...rootJson(newest) } : null,
      chain,
      concerns: found,
      ...PRESENCE,
    },
    text: newest
      ? [
          ...lines(rootText(newest, now)),
          `registry entry ${newest.index}; versions in its chain: ${chain.length}`,
          `${rootsLabel(registry) ?? "roots: none"}; ${PRESENCE_TEXT}`,
        ].join("\n")
      : "No root",
  });
  return found.length === 0 ? EXIT.ok : EXIT.attention;
}

function told(
  { terminal }: CommandContext,
  root: SignedRoot,
  about: { readonly now: number; readonly file: string; readonly next?: string },
): void {
  const { now, file, next } = about;
  terminal.result({
    json: { file, ...rootJson(root), ...PRESENCE },
    text: [
      `${printable(file)}:`,
      ...lines(rootText(root, now)),
      PRESENCE_TEXT,
      ...(next === undefined ? [] : [next]),
    ].join("\n"),
  });
}

/** A root that is not good is an answer of its own (exit code 3), not a command that did not work. */
async function orRefused(
  { terminal, json }: CommandContext,
  work: () => Promise<number>,
): Promise<number> {
  try {
    return await work();
  } catch (error) {
    const code = errorCode(error);
    const isRefusal =
      (error instanceof KeyError && code.startsWith("ERR_ROOT_")) || code === "ERR_REGISTRY_VOID";
    if (!isRefusal) throw error;
    const message = printable(errorLine(error));
    if (json) terminal.result({ json: { error: code, message }, text: "" });
    terminal.notice(`redoubt: ${message}`);
    return EXIT.refused;
  }
}
