declare namespace NodeJS {
  interface ProcessPermission {
    /** Gives a permission back for good; in Node 24.21, and not in its published types. */
    drop(scope: "addon"): void;
  }
}
