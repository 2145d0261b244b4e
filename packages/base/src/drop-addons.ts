/** Gives back the permission to load native code: once an HSM's module is loaded, no other may be. */
export function dropAddons(): void {
  // Absent where the process was not started under the permission model, whatever the types say.
  if ("permission" in process) process.permission.drop("addon");
}
