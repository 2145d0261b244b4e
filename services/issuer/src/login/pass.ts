import { hash, randomBytes } from "node:crypto";

export interface NewPass {
  /** As it is told, once. */
  readonly text: string;
  readonly hash: Buffer;
}

/** 160 bits: nobody guesses one, however many there are. */
const PASS_BYTES = 20;
/** RFC 4648 §6. */
const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
const GROUP = 4;

/** A pass in letters that can be read out: eight groups of four. */
export function newPass(): NewPass {
  const letters = base32(randomBytes(PASS_BYTES));
  const text = (letters.match(new RegExp(`.{${GROUP}}`, "g")) ?? []).join("-");
  return { text, hash: hashPass(text) };
}

/** What a pass is looked up by, however it was typed: with or without hyphens and spaces, in any case. */
export function hashPass(typed: string): Buffer {
  return hash("sha256", typed.replaceAll(/[\s-]/g, "").toUpperCase(), "buffer");
}

function base32(bytes: Buffer): string {
  const bits = [...bytes].map((byte) => byte.toString(2).padStart(8, "0")).join("");
  const groups = bits.match(/.{5}/g) ?? [];
  return groups.map((group) => ALPHABET.charAt(Number.parseInt(group, 2))).join("");
}
