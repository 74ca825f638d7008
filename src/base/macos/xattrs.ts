/**
 * Extended attributes as macOS has them: names without namespaces (`com.apple.FinderInfo`), where the store follows
 * Linux. All are kept as `user.` ones, so a store carried to Linux shows them there (`user.com.apple.…`), and back.
 */
const PREFIX = 'user.';

export const storedXattrName = (name: string): string => PREFIX + name;

/** Undefined for an attribute that Linux keeps to itself (`security.`, `trusted.`, ACLs). */
export const shownXattrName = (stored: string): string | undefined =>
  stored.startsWith(PREFIX) && stored.length > PREFIX.length ? stored.slice(PREFIX.length) : undefined;

/** From names each followed by NUL to the same, as macOS may see them. */
export const shownXattrList = (stored: string): string =>
  stored
    .split('\0')
    .flatMap((name) => shownXattrName(name) ?? [])
    .map((name) => `${name}\0`)
    .join('');

/**
 * `._NAME`: where macOS keeps extended attributes on filesystems that have none (AppleDouble). We have them, so it
 * makes none here; those that come from elsewhere (an archive, a USB stick) are ordinary files and stay.
 */
export const isAppleDouble = (name: string): boolean => name.startsWith('._') && name.length > 2;
