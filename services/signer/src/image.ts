/** Version of the signer's image: a lease may ask for a newer one (docs/spec/leases.md §7). It grows with each release. */
export const IMAGE_VERSION = 1;

/** What a soft TPM measures as this image. */
export const IMAGE = `redoubt signer ${IMAGE_VERSION}`;
