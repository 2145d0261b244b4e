import { administratorChange } from "./administrator-change.ts";
import { personPass } from "./person-pass.ts";
import { personRecovery } from "./person-recovery.ts";
import { presenceEnrol } from "./presence-enrol.ts";

/** All that can be approved. A new action is a file of its own and a line here. */
export const ACTIONS = {
  [administratorChange.name]: administratorChange,
  [personPass.name]: personPass,
  [personRecovery.name]: personRecovery,
  [presenceEnrol.name]: presenceEnrol,
} as const;

export type ActionName = keyof typeof ACTIONS;
export const ACTION_NAMES: readonly ActionName[] = [
  administratorChange.name,
  personPass.name,
  personRecovery.name,
  presenceEnrol.name,
];
/** An action and its subject, which fit each other. */
export type Said = ReturnType<(typeof ACTIONS)[ActionName]["open"]>["said"];
