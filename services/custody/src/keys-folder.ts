/** Folder of sealed files, in the gateway's own. */
export const KEYS_FOLDER = "keys";
