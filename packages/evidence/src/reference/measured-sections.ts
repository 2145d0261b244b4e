/**
 * The order in which systemd-stub measures sections, and the version that began to (systemd, src/fundamental/uki.h).
 * `.pcrsig` is never measured.
 */
export const MEASURED_SECTIONS: readonly (readonly [name: string, since: number])[] = [
  [".linux", 252],
  [".osrel", 252],
  [".cmdline", 252],
  [".initrd", 252],
  [".ucode", 256],
  [".splash", 252],
  [".dtb", 252],
  [".uname", 253],
  [".sbat", 253],
  [".pcrpkey", 252],
];
